"""The few kinds of fitted model: constant, item-item, factors, autoencoder, ensemble."""

from nearfar.core.extras import require_torch

require_torch()
