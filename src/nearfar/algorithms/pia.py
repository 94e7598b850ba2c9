"""Personalized Item Alignment as a setting of every autoencoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nearfar.core import settings
from nearfar.core.errors import SettingsError
from nearfar.vae.likelihoods.likelihood import Catalogue
from nearfar.vae.terms.alignment import Alignment
from nearfar.vae.terms.term import Term
from nearfar.vae.weights.constant import Constant
from nearfar.vae.weights.plateau_growth import PlateauGrowth
from nearfar.vae.weights.weight import Weight


@dataclass(frozen=True)
class PIA:
    """Pull every user's posterior towards learnable anchors of the user's items, in training.

    Source: Eq. 8-10 and Algorithm 1 of "On the Mechanisms of Collaborative Learning in VAE
    Recommenders".

    Args:
        weight: lambda_A at the start; by default the algorithm's own (`ALIGN_WEIGHT`), which was
            chosen on validation users of several data sets: the right one differs between
            algorithms by orders of magnitude. To search it, use a log scale.
        patience: epochs without a better validation score before the weight grows; 0 keeps it.
        scale: what it is multiplied by then.
        anchor_std: standard deviation of the anchors at the start.
    """

    weight: float | None = None
    patience: int = 5
    scale: float = 1.2
    anchor_std: float = 0.01

    def __post_init__(self) -> None:
        settings.check(self)
        if (self.weight or 0) < 0 or self.patience < 0 or self.scale <= 0 or self.anchor_std < 0:
            raise SettingsError(
                f"weight {self.weight}, patience {self.patience}, scale {self.scale}, anchor_std "
                f"{self.anchor_std}: scale must be above 0, the others not negative"
            )

    def schedule(self, default: float) -> Weight:
        """Return the weight over the course of training, from `default` where it is not set."""
        start = default if self.weight is None else self.weight
        if self.patience == 0:
            return Constant(start)
        return PlateauGrowth(start, self.patience, self.scale)

    def term(self, catalogue: Catalogue, n_latent: int, rng: torch.Generator) -> Term:
        """Return A(x) of Eq. 9 with fresh anchors, drawn from `rng`."""
        return Alignment(catalogue.n_items, n_latent, self.anchor_std, rng)
