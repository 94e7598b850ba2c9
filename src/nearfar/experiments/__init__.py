"""Whole experiments: several algorithms on one split, compared; the demo; its figure."""

from nearfar.core.extras import require_torch

require_torch()
