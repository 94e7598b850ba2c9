"""RecVAE, with or without Personalized Item Alignment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from nearfar.algorithms.recipe import EvidenceBound, Network, Training, optimiser_of
from nearfar.core.ranges import LayerSizes, NonNegativeInt, PositiveFloat, PositiveInt
from nearfar.train.plan import OptimiserName, Phase, TrainingPlan
from nearfar.vae.encoders.dense import Dense
from nearfar.vae.encoders.encoder import Encoder
from nearfar.vae.initialisers.initialiser import Initialiser
from nearfar.vae.initialisers.spectral import Spectral
from nearfar.vae.likelihoods.by_size import BySize
from nearfar.vae.likelihoods.likelihood import Likelihood, TrainingCounts
from nearfar.vae.objective import Objective
from nearfar.vae.priors.composite import Composite
from nearfar.vae.priors.prior import Prior
from nearfar.vae.weights.cosine import Cosine
from nearfar.vae.weights.per_interaction import PerInteraction
from nearfar.vae.weights.weight import Weight


@dataclass(frozen=True)
class RecVAE(Network, EvidenceBound, Training):
    """Mult-VAE with a composite prior, a KL weight per history, and alternating training.

    In each epoch, `encoder_passes` passes train the encoder on corrupted histories, the prior
    copies the encoder, and `decoder_passes` passes train the decoder on clean histories. Encoder
    and decoder each have their own Adam.

    Source: Shenbin et al., RecVAE: a New Variational Autoencoder for Top-N Recommendations with
    Implicit Feedback, 2020, and its published code; with `alignment`, Eq. 8-9 of the paper.
    Differs: users without an item are left out of the batches. The decoder's initial weights are
    from Glorot's distribution with small biases, in the published code uniform within 1 / sqrt(K).
    The decoder's loss is the reconstruction alone, because the other terms do not depend on it. The
    anchors of the alignment are trained with the encoder. As in the published code, the KL of each
    user is weighted by the length of the uncorrupted history, and the noise has standard deviation
    sigma; RecBole and Cornac scale the noise by .01. Random numbers are as in `MultVAE`.

    Args:
        decoder_hidden: sizes of the decoder's hidden layers; the published decoder is one linear
            layer.
        corruption: how the encoder's input is corrupted while the encoder is trained.
        prior: prior p(z).
        likelihood: likelihood p(x|z), as in `MultVAE`.
        epochs: epochs of `encoder_passes` and `decoder_passes`. By default as in `MultVAE`, as if
            an epoch had a single pass.
        encoder_passes: passes over the users per epoch that train the encoder.
        decoder_passes: passes over the users per epoch that train the decoder.
        batch_size: users per step.
        learning_rate: learning rate of both Adams.
        schedule: factor of the learning rate, as in `MultVAE`.
        optimiser: optimiser of tables with one row per item, as in `MultVAE`.

    Examples:
        >>> algorithm = nf.RecVAE(n_latent=4, epochs=1, encoder=nf.encoders.Dense(width=8))
        >>> algorithm.fit(split.train, split.validation).n_items
        20
    """

    ALIGN_WEIGHT: ClassVar[float] = 0.01

    encoder: Encoder = field(default_factory=Dense)
    decoder_hidden: LayerSizes = ()
    prior: Prior = field(default_factory=Composite)
    likelihood: Likelihood | None = field(default_factory=lambda: BySize(background=0.3))
    initialiser: Initialiser = field(default_factory=Spectral)
    beta: Weight = field(default_factory=PerInteraction)
    epochs: PositiveInt | None = None
    encoder_passes: PositiveInt = 3
    decoder_passes: PositiveInt = 1
    batch_size: PositiveInt = 250
    learning_rate: PositiveFloat = 1.5e-3
    schedule: Weight = field(default_factory=lambda: Cosine(epochs=0, warm_up=10))
    patience: NonNegativeInt = 0
    optimiser: OptimiserName | None = None

    def plan(self, catalogue: TrainingCounts | None = None) -> TrainingPlan:
        encoder = Phase(
            ("network.encoder", "objective"), passes=self.encoder_passes, renews_prior=True
        )
        decoder = Phase(
            ("network.decoder",), ("reconstruction",), self.decoder_passes, corrupt=False
        )
        optimiser = optimiser_of(self.optimiser, self.likelihood, catalogue)
        return self.training(catalogue, optimiser=optimiser, phases=(encoder, decoder))

    def objective(self, catalogue: TrainingCounts, seed: int) -> Objective:
        return self.evidence_bound(catalogue, seed, self.prior, self.n_latent)
