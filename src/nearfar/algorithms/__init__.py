"""Algorithms: frozen dataclasses of hyper-parameters that fit, one file each."""

from nearfar.core.extras import require_torch

require_torch()
