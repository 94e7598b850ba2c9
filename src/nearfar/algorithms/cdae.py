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
    """The collaborative denoising autoencoder: one hidden layer, with a node of every user.

    f = W h(V' x~ + U_u + b) + b', U_u the node of training user u. Held-out users have none, so
    that the nodes are dropped from the fitted model, which knows no users.

    Source: Wu et al., Collaborative Denoising Auto-Encoders for Top-N Recommender Systems, 2016,
    Eq. 6-9; as it was compared in Liang et al. 2018: 200 hidden units, tanh, batches of users.
    Differs: published are the logistic and the square loss over the user's items and five
    sampled negatives for each; here every item of the catalogue is in the likelihood (`bernoulli`
    and `gaussian`, whose `negative_weight` has the sampling's part), or there is a multinomial
    one. Wu et al. train by AdaGrad and do not normalise histories. Nodes start at zero instead
    of at random. The published penalty, l2 / 2 times the squared length of all parameters beside
    the mean loss of a user, is Adam's weight decay, of matrices and not of biases.

    Args:
        n_latent: hidden units.
        units: h.
        likelihood: p(x|z).
        l2: weight of half the squared length of all weight matrices, the users' nodes among them.

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
