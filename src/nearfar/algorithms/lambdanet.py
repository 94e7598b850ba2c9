"""LambdaNet."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from nearfar.algorithms.recipe import Network, Training
from nearfar.core.ranges import NonNegativeInt, PositiveFloat, PositiveInt
from nearfar.core.seeding import derive
from nearfar.train.plan import TrainingPlan
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.objective import Objective, WeightedTerm
from nearfar.vae.priors.normal import Normal
from nearfar.vae.terms.kl import KL
from nearfar.vae.terms.lambda_rank import LambdaRank
from nearfar.vae.weights.constant import ConstantWeight
from nearfar.vae.weights.linear_anneal import LinearAnneal
from nearfar.vae.weights.weight import Weight


@dataclass(frozen=True)
class LambdaNet(Network, Training):
    """Mult-VAE's network, trained by LambdaRank's gradients instead of a likelihood.

    Source: Lobel et al., RaCT, 2020, which compares with it, and its published code; LambdaRank
    is Burges, From RankNet to LambdaRank to LambdaMART, 2010.
    Differs: the published code uses all pairs of a positive and a negative item. Here the
    negatives are those with the highest scores and a sample of the rest, without bias: see
    `LambdaRank`.

    Args:
        sigma: steepness of the logistic function of a pair's score difference.
        top: number of highest-scored negatives in the pairs; all items make it exact.
        sampled: number of negatives sampled from the rest. Time and memory per step grow with
            interactions x (top + sampled).
        beta: weight of the KL term.

    Examples:
        >>> algorithm = nf.LambdaNet(epochs=1, **small)
        >>> algorithm.fit(split.train, split.validation).n_items
        20
    """

    sigma: PositiveFloat = 1.0
    top: NonNegativeInt = 100
    sampled: PositiveInt = 100
    beta: Weight = field(default_factory=LinearAnneal)

    def plan(self, catalogue: TrainingCounts | None = None) -> TrainingPlan:
        return self.training(catalogue)

    def objective(self, catalogue: TrainingCounts, seed: int) -> Objective:
        rng = torch.Generator().manual_seed(derive(seed, "prior"))
        prior = Normal().build(catalogue.n_items, self.n_latent, rng)
        ranking = LambdaRank(self.sigma, self.top, self.sampled)
        terms = {
            "ranking": WeightedTerm(ranking, ConstantWeight(1.0)),
            "kl": WeightedTerm(KL(prior), self.beta),
        }
        return Objective(terms, prior)
