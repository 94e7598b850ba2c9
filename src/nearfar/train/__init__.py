"""The training loop: steps, validation, stopping, checkpoints and exact resume."""

from nearfar.core.needs import check_torch

check_torch()
