"""The statements of the paper as functions: what they bound, measured and predicted."""

from nearfar.core.needs import check_torch

check_torch()
