"""WARP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from nearfar.algorithms.recipe import Training
from nearfar.core.ranges import NonNegativeFloat, PositiveInt
from nearfar.models.autoencoder import Architecture
from nearfar.train.plan import TrainingPlan
from nearfar.vae.encoders.shallow import Shallow
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.objective import Objective, WeightedTerm
from nearfar.vae.terms.warp import WARPLoss
from nearfar.vae.weights.constant import ConstantWeight


@dataclass(frozen=True)
class WARP(Training):
    """A linear autoencoder trained by the Weighted Approximate-Rank Pairwise loss.

    Source: the loss is that of Weston, Bengio and Usunier, WSABIE, 2011; the network that of
    Lobel et al., RaCT, 2020, and its published code: I-200-I without hidden units, dropout of the
    L2-normalised history, l2 1e-5.
    Differs: Lobel et al. do not sample, have no margin, and weight every violation by L of the
    positive's rank without dividing by the number of violations. See `WARPLoss` for the loss here.

    Args:
        n_negatives: negatives sampled per positive. More of them distinguish smaller ranks from 0
            and make a step slower.
        margin: difference by which a positive's score should exceed a negative's.
        l2: weight of the squared length of all weight matrices.

    Examples:
        >>> algorithm = nf.WARP(n_latent=4, epochs=1)
        >>> algorithm.fit(split.train, split.validation).n_items
        20
    """

    RENAMED: ClassVar[Mapping[str, str]] = {**Training.RENAMED, "tries": "n_negatives"}

    n_negatives: PositiveInt = 100
    margin: NonNegativeFloat = 1.0
    l2: NonNegativeFloat = 1e-5

    def architecture(self, n_items: int) -> Architecture:
        return Architecture(n_items, self.n_latent, Shallow("linear"), (), self.corruption)

    def plan(self, catalogue: TrainingCounts | None = None) -> TrainingPlan:
        return self.training(catalogue, weight_decay=2 * self.l2, noise=False)

    def objective(self, catalogue: TrainingCounts, seed: int) -> Objective:
        term = WARPLoss(catalogue.n_items, self.n_negatives, self.margin)
        return Objective({"ranking": WeightedTerm(term, ConstantWeight())})
