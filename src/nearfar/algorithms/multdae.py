"""Mult-DAE."""

from __future__ import annotations

from dataclasses import dataclass, field

from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.core.ranges import (
    LayerSizes,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)
from nearfar.models.autoencoder import Architecture
from nearfar.train.plan import Plan
from nearfar.vae.corruption.corruption import Corruption
from nearfar.vae.corruption.dropout import Dropout
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.encoder import Encoder
from nearfar.vae.likelihoods.likelihood import Catalogue, Likelihood
from nearfar.vae.likelihoods.multinomial import Multinomial
from nearfar.vae.objective import Addend, Objective
from nearfar.vae.starts.start import Start
from nearfar.vae.starts.xavier import Xavier
from nearfar.vae.weights.constant import Constant
from nearfar.vae.weights.weight import Weight


@dataclass(frozen=True)
class MultDAE(AutoencoderAlgorithm):
    """The denoising autoencoder with a multinomial likelihood: no sampling, no prior.

    Source: Liang et al., Variational Autoencoders for Collaborative Filtering, 2018.
    Differs: by default a linear layer stands between the tanh layer and the decoder, as in
    Mult-VAE, whose special case without noise and KL this is. The published I-200-I has one tanh
    layer: that is `encoder = "shallow"`, as in the preset `published`. The penalty is
    the published one, of matrices and not of biases, as Adam's weight decay of twice l2. The
    published l2 of .01 is for a batch of 500: for the mean over its users, .01 / 500.

    Args:
        n_latent: latent dimensions K.
        encoder: from history to latent.
        decoder_hidden: sizes of the decoder's hidden layers.
        corruption: what the encoder is shown in training.
        likelihood: p(x|z).
        start: what the network's weights start from.
        l2: weight of the squared length of all weight matrices.
        epochs, batch_size, learning_rate: of Adam.
        schedule: what the learning rate is multiplied by over the course of training.
        patience: epochs without a better validation score before training stops; 0 for never.
    """

    n_latent: PositiveInt = 200
    encoder: Encoder = field(default_factory=lambda: Base((200,)))
    decoder_hidden: LayerSizes = ()
    corruption: Corruption = field(default_factory=Dropout)
    likelihood: Likelihood = field(default_factory=Multinomial)
    start: Start = field(default_factory=Xavier)
    l2: NonNegativeFloat = 2e-5
    epochs: PositiveInt = 200
    batch_size: PositiveInt = 500
    learning_rate: PositiveFloat = 1e-3
    schedule: Weight = field(default_factory=Constant)
    patience: NonNegativeInt = 20

    def architecture(self, n_items: int) -> Architecture:
        """What the network is built from."""
        return Architecture(
            n_items, self.n_latent, self.encoder, self.decoder_hidden, self.corruption
        )

    def plan(self, catalogue: Catalogue | None = None) -> Plan:
        """How the network is trained."""
        return Plan(
            self.epochs,
            self.batch_size,
            self.learning_rate,
            self.patience,
            self.schedule,
            weight_decay=2 * self.l2,
            noise=False,
        )

    def objective(self, catalogue: Catalogue, seed: int) -> Objective:
        """The reconstruction alone."""
        return Objective({"reconstruction": Addend(self.likelihood.term(catalogue), Constant())})
