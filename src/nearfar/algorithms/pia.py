"""Personalized Item Alignment as a setting of every autoencoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nearfar.core.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat
from nearfar.core.settings import Settings
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.step import Term
from nearfar.vae.terms.alignment import Alignment
from nearfar.vae.weights.constant import ConstantWeight
from nearfar.vae.weights.plateau_growth import PlateauGrowth
from nearfar.vae.weights.weight import Weight


@dataclass(frozen=True)
class PIA(Settings):
    """Personalized Item Alignment, which pulls users towards learnable anchors of their items.

    Source: Eq. 8-10 and Algorithm 1 of "On the Mechanisms of Collaborative Learning in VAE
    Recommenders".

    Args:
        weight: initial alignment weight lambda_A. By default that of the algorithm
            (`ALIGN_WEIGHT`), chosen on validation users of several data sets; good weights differ
            between algorithms by orders of magnitude. Search it on a log scale.
        patience: epochs without a better validation score before the weight grows; 0 keeps it
            constant.
        scale: factor by which the weight grows.
        anchor_std: standard deviation of the initial anchors.

    Examples:
        >>> algorithm = nf.MultVAE(alignment=nf.PIA(weight=1.0), epochs=1, **small)
        >>> algorithm.fit(split.train, split.validation).anchors.shape
        (20, 4)
    """

    weight: NonNegativeFloat | None = None
    patience: NonNegativeInt = 5
    scale: PositiveFloat = 1.2
    anchor_std: NonNegativeFloat = 0.01

    def schedule(self, default: float) -> Weight:
        """Return the schedule of the weight, which starts at `default` if `weight` is None."""
        start = default if self.weight is None else self.weight
        if self.patience == 0:
            return ConstantWeight(start)
        return PlateauGrowth(start, self.patience, self.scale)

    def term(self, catalogue: TrainingCounts, n_latent: int, rng: torch.Generator) -> Term:
        """Return A(x) of Eq. 9 with new anchors drawn from `rng`."""
        return Alignment(catalogue.n_items, n_latent, self.anchor_std, rng)
