"""Whole experiments: several algorithms on one split, compared; the demo; its figure."""

from nearfar.core.needs import check_torch

check_torch()
