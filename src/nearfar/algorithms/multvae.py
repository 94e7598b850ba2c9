"""Mult-VAE, with or without Personalized Item Alignment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from nearfar.algorithms.autoencoding import (
    AutoencoderAlgorithm,
    epochs_of,
    evidence_bound,
    likelihood_of,
    optimiser_of,
)
from nearfar.algorithms.pia import PIA
from nearfar.core.ranges import LayerSizes, NonNegativeInt, PositiveFloat, PositiveInt
from nearfar.models.autoencoder import Architecture
from nearfar.train.phase import Phase
from nearfar.train.plan import OptimiserName, Plan
from nearfar.vae.corruption.corruption import Corruption
from nearfar.vae.corruption.dropout import Dropout
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.encoder import Encoder
from nearfar.vae.layers import Units
from nearfar.vae.likelihoods.by_size import BySize
from nearfar.vae.likelihoods.likelihood import Catalogue, Likelihood
from nearfar.vae.objective import Objective
from nearfar.vae.priors.normal import Normal
from nearfar.vae.priors.prior import Prior
from nearfar.vae.starts.spectral import Spectral
from nearfar.vae.starts.start import Start
from nearfar.vae.weights.cosine import Cosine
from nearfar.vae.weights.linear_anneal import LinearAnneal
from nearfar.vae.weights.weight import Weight


@dataclass(frozen=True)
class MultVAE(AutoencoderAlgorithm):
    """The variational autoencoder with a multinomial likelihood; PIA is one of its settings.

    Source: Liang et al., Variational Autoencoders for Collaborative Filtering, 2018; with
    `alignment`, Eq. 8-9 and Algorithm 1 of "On the Mechanisms of Collaborative Learning in VAE
    Recommenders".
    Differs: users without an item are left out of the training batches. As published, terms are
    means over a batch's users, the KL of each user summed over the latents, and the noise has
    standard deviation sigma (RecBole scales it by .01). What a step draws comes from the run's
    seed and the step's number, so that a resumed run draws the same; there from a running state.

    Args:
        n_latent: latent dimensions K.
        encoder: from history to posterior.
        decoder_hidden: sizes of the decoder's hidden layers.
        decoder_units: their units, "tanh" as published, or "gated".
        corruption: what the encoder is shown in training.
        prior: p(z); a composite one takes over the encoder after every epoch.
        likelihood: p(x|z); by default the multinomial one with soft targets, exact up to 200,000
            items and sampled above; "none" is the same without soft targets, as published.
        start: what the network's weights start from.
        beta: weight of the KL term.
        alignment: Personalized Item Alignment, or none.
        epochs: passes over the users; by default as many as make about 600 steps, from 10 to 60.
        batch_size, learning_rate: of Adam.
        noise: whether z is drawn in training, as published, or is the posterior's mean.
        schedule: what the learning rate is multiplied by over the course of training; by default
            it falls along half a cosine to a twentieth.
        optimiser: "adam"; or for tables with one row an item "lazy_adam", whose rows rest while
            no batch touches them, or "row_adam", which keeps no moments of them either (a third
            of the memory). By default "adam" with the exact likelihood, else "lazy_adam".
        patience: epochs without a better validation score before training stops; 0 for never.
    """

    ALIGN_WEIGHT: ClassVar[float] = 0.3

    n_latent: PositiveInt = 200
    encoder: Encoder = field(default_factory=Base)
    decoder_hidden: LayerSizes = (600,)
    decoder_units: Units = "tanh"
    corruption: Corruption = field(default_factory=Dropout)
    prior: Prior = field(default_factory=Normal)
    likelihood: Likelihood | None = field(default_factory=BySize)
    start: Start = field(default_factory=Spectral)
    beta: Weight = field(default_factory=lambda: LinearAnneal(steps=200))
    alignment: PIA | None = None
    epochs: PositiveInt | None = None
    batch_size: PositiveInt = 250
    learning_rate: PositiveFloat = 3e-3
    patience: NonNegativeInt = 0
    noise: bool = True
    schedule: Weight = field(default_factory=lambda: Cosine(epochs=0, warm_up=10))
    optimiser: OptimiserName | None = None

    def plan(self, catalogue: Catalogue | None = None) -> Plan:
        """How the network is trained, on a catalogue of this size."""
        return Plan(
            epochs_of(self.epochs, catalogue and catalogue.n_users, self.batch_size),
            self.batch_size,
            self.learning_rate,
            self.patience,
            self.schedule,
            optimiser_of(self.optimiser, self.likelihood, catalogue),
            noise=self.noise,
            phases=(Phase(renews_prior=True),),
        )

    def architecture(self, n_items: int) -> Architecture:
        """What the network is built from."""
        return Architecture(
            n_items,
            self.n_latent,
            self.encoder,
            self.decoder_hidden,
            self.corruption,
            self.decoder_units,
        )

    def objective(self, catalogue: Catalogue, seed: int) -> Objective:
        """Eq. 1, or Eq. 8 with alignment."""
        return evidence_bound(
            catalogue,
            self.n_latent,
            seed,
            likelihood=likelihood_of(self.likelihood, catalogue),
            prior=self.prior,
            beta=self.beta,
            alignment=self.alignment,
            align_weight=self.ALIGN_WEIGHT,
        )
