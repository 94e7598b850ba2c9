"""Algorithms: frozen dataclasses of hyper-parameters that fit, one file each."""

from nearfar.core.needs import check_torch

check_torch()
