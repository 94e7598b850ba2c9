"""The paper's objects: corruption, encoders, posterior, priors, decoder, terms, weights."""

from nearfar.core.needs import check_torch

check_torch()
