"""The paper's objects: corruption, encoders, posterior, priors, decoder, terms, weights."""

from nearfar.core.extras import require_torch

require_torch()
