"""Computations that know no model: sparse rows, products, blocked softmax, gathered gradients."""

from nearfar.core.extras import require_torch

require_torch()
