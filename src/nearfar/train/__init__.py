"""The training loop: steps, validation, stopping, checkpoints and exact resume."""

from nearfar.core.extras import require_torch

require_torch()
