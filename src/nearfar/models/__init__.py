"""The few kinds of fitted model: constant, item-item, factors, autoencoder, ensemble."""

from nearfar.core.needs import check_torch

check_torch()
