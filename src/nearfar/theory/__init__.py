"""The statements of the paper as functions: what they bound, measured and predicted."""

from nearfar.core.extras import require_torch

require_torch()
