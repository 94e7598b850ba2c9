"""Priors p(z) of variational autoencoders: `nf.priors.Vamp(pseudo_inputs=500)`."""

from __future__ import annotations

from nearfar.vae.priors.composite import Composite as Composite
from nearfar.vae.priors.hierarchical import HierarchicalVamp as HierarchicalVamp
from nearfar.vae.priors.mixture import Mixture as Mixture
from nearfar.vae.priors.normal import Normal as Normal
from nearfar.vae.priors.prior import Prior as Prior
from nearfar.vae.priors.prior import PriorNetwork as PriorNetwork
from nearfar.vae.priors.vamp import Vamp as Vamp
