"""The paper's objects: rows, corruption, encoders, posterior, priors, decoder, terms, weights."""

from nearfar.core.needs import check_torch

check_torch()
