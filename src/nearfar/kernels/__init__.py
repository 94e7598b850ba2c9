"""Computations that all models share: sparse rows, products, blocked softmax, table gradients."""

from nearfar.core.extras import require_torch

require_torch()
