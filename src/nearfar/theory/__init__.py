"""The paper's theorems as functions: their bounds, predictions and measured values."""

from nearfar.core.extras import require_torch

require_torch()
