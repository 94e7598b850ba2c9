"""CDAE."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from nearfar.algorithms.recipe import Training
from nearfar.core.ranges import NonNegativeFloat
from nearfar.models.autoencoder import Architecture
from nearfar.train.plan import TrainingPlan
from nearfar.vae.encoders.shallow import Shallow, ShallowUnits
from nearfar.vae.likelihoods.bernoulli import Bernoulli
from nearfar.vae.likelihoods.likelihood import Likelihood, TrainingCounts
from nearfar.vae.objective import Objective, WeightedTerm
from nearfar.vae.weights.constant import ConstantWeight


@dataclass(frozen=True)
class CDAE(Training):
    """The collaborative denoising autoencoder: one hidden layer, and a node for each user.

    f = W h(V' x~ + U_u + b) + b', U_u the node of training user u. Held-out users have no node, so
    the fitted model drops the nodes.

    Source: Wu et al., Collaborative Denoising Auto-Encoders for Top-N Recommender Systems, 2016,
    Eq. 6-9; as compared in Liang et al. 2018: 200 hidden units, tanh, batches of users.
    Differs: the published logistic and square losses are over the user's items and five sampled
    negatives for each. Here the likelihood is over all items: `bernoulli`, `gaussian`, whose
    `negative_weight` takes the place of sampling, or a multinomial. Wu et al. train by AdaGrad and
    do not normalise histories. Nodes start at zero, not at random. The published penalty, l2 / 2
    times the squared length of all parameters beside the mean loss of a user, is Adam's weight
    decay here, of matrices but not of biases.

    Args:
        n_latent: hidden units.
        units: activation h of the hidden units.
        likelihood: likelihood p(x|z).
        l2: weight of half the squared length of all weight matrices, including the users' nodes.

    Examples:
        >>> algorithm = nf.CDAE(n_latent=4, epochs=1)
        >>> algorithm.fit(split.train, split.validation).n_items
        20
    """

    USER_NODES: ClassVar[bool] = True

    units: ShallowUnits = "tanh"
    likelihood: Likelihood = field(default_factory=Bernoulli)
    l2: NonNegativeFloat = 1e-4

    def architecture(self, n_items: int) -> Architecture:
        return Architecture(n_items, self.n_latent, Shallow(self.units), (), self.corruption)

    def plan(self, catalogue: TrainingCounts | None = None) -> TrainingPlan:
        return self.training(catalogue, weight_decay=self.l2, noise=False)

    def objective(self, catalogue: TrainingCounts, seed: int) -> Objective:
        return Objective(
            {"reconstruction": WeightedTerm(self.likelihood.term(catalogue), ConstantWeight())}
        )
