"""Algorithms: frozen dataclasses of hyper-parameters with a `fit` method, one file each."""

from nearfar.core.extras import require_torch

require_torch()
