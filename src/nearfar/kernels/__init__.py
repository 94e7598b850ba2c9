"""Computations that know no model: sparse rows, products, blocked softmax, gathered gradients."""

from nearfar.core.needs import check_torch

check_torch()
