"""Experiments over several fits: demo, cross-validation, tuning, autopilot, reproduction."""

from nearfar.core.extras import require_torch

require_torch()
