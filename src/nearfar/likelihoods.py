"""Likelihoods of what a user interacted with: `nf.likelihoods.Multinomial(background=1.0)`."""

from __future__ import annotations

from nearfar.vae.likelihoods.bernoulli import Bernoulli as Bernoulli
from nearfar.vae.likelihoods.by_size import BySize as BySize
from nearfar.vae.likelihoods.gaussian import Gaussian as Gaussian
from nearfar.vae.likelihoods.likelihood import Likelihood as Likelihood
from nearfar.vae.likelihoods.multinomial import Multinomial as Multinomial
from nearfar.vae.likelihoods.sampled import Sampled as Sampled
