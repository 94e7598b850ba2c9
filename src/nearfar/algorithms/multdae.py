"""Mult-DAE."""

from __future__ import annotations

from dataclasses import dataclass, field

from nearfar.algorithms.recipe import Network, Training
from nearfar.core.ranges import LayerSizes, NonNegativeFloat
from nearfar.train.plan import TrainingPlan
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.encoder import Encoder
from nearfar.vae.likelihoods.likelihood import Likelihood, TrainingCounts
from nearfar.vae.likelihoods.multinomial import Multinomial
from nearfar.vae.objective import Objective, WeightedTerm
from nearfar.vae.weights.constant import ConstantWeight


@dataclass(frozen=True)
class MultDAE(Network, Training):
    """The denoising autoencoder with a multinomial likelihood, without sampling or a prior.

    Source: Liang et al., Variational Autoencoders for Collaborative Filtering, 2018.
    Differs: by default a linear layer follows the tanh layer, as in Mult-VAE, of which this is the
    case without noise and KL. The published I-200-I has one tanh layer, as has
    `encoder = "shallow"` in the preset `published`. The penalty is the published one, of matrices
    but not of biases, as Adam's weight decay of twice l2. The published l2 of .01 is for the sum
    over a batch of 500 users; for their mean it is .01 / 500.

    Args:
        encoder: encoder from history to latent.
        likelihood: likelihood p(x|z).
        l2: weight of the squared length of all weight matrices.

    Examples:
        >>> algorithm = nf.MultDAE(n_latent=4, epochs=1)
        >>> algorithm.fit(split.train, split.validation).n_items
        20
    """

    encoder: Encoder = field(default_factory=lambda: Base((200,)))
    decoder_hidden: LayerSizes = ()
    likelihood: Likelihood = field(default_factory=Multinomial)
    l2: NonNegativeFloat = 2e-5

    def plan(self, catalogue: TrainingCounts | None = None) -> TrainingPlan:
        return self.training(catalogue, weight_decay=2 * self.l2, noise=False)

    def objective(self, catalogue: TrainingCounts, seed: int) -> Objective:
        return Objective(
            {"reconstruction": WeightedTerm(self.likelihood.term(catalogue), ConstantWeight())}
        )
