"""The parts that recipes of autoencoders are put together from: their settings and what they build.

An algorithm names the parts it has as its bases, adds settings of its own, and overrides no method
of a part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.algorithms.pia import PIA
from nearfar.algorithms.statistics import Statistics
from nearfar.core.ranges import LayerSizes, Multiple, NonNegativeInt, PositiveInt
from nearfar.core.seeding import derive
from nearfar.models.autoencoder import Architecture
from nearfar.train.plan import OptimiserName, Phase, TrainingPlan
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.encoder import Encoder
from nearfar.vae.layers import Units
from nearfar.vae.likelihoods.by_size import BySize
from nearfar.vae.likelihoods.likelihood import Likelihood, TrainingCounts
from nearfar.vae.likelihoods.sampled import Sampled
from nearfar.vae.objective import Objective, WeightedTerm
from nearfar.vae.priors.prior import Prior
from nearfar.vae.terms.kl import KL
from nearfar.vae.weights.constant import ConstantWeight
from nearfar.vae.weights.linear_anneal import LinearAnneal
from nearfar.vae.weights.weight import Weight

TRAINING_STEPS = 600
FEWEST_EPOCHS, MOST_EPOCHS = 10, 60
EPOCHS = 20
"""Epochs where the training data are not known yet."""

LOWEST_RATE, HIGHEST_RATE = 1e-3, 6e-3
FEW_INTERACTIONS = 50_000
"""Up to about so many interactions the learning rate is the lowest."""

LEAST_TRAVEL, MOST_TRAVEL = 0.35, 6.0
"""Learning rate times steps, about how far Adam can move a weight."""

RATE = 3e-3
"""The learning rate where the training data are not known yet."""


@dataclass(frozen=True)
class Network(AutoencoderAlgorithm):
    """The part that builds an encoder and a decoder of hidden layers.

    Args:
        encoder: from history to posterior.
        decoder_hidden: sizes of the decoder's hidden layers.
        decoder_units: their units, "tanh" as published, or "gated".
    """

    ADDED: ClassVar[Mapping[str, Any]] = {"decoder_units": "tanh"}

    encoder: Encoder = field(default_factory=Base)
    decoder_hidden: LayerSizes = (600,)
    decoder_units: Units = "tanh"

    def architecture(self, n_items: int) -> Architecture:
        return Architecture(
            n_items,
            self.n_latent,
            self.encoder,
            self.decoder_hidden,
            self.corruption,
            self.decoder_units,
        )


@dataclass(frozen=True)
class Training(AutoencoderAlgorithm):
    """The part that trains by one optimiser for a number of epochs.

    Args:
        epochs: passes over the users.
        epochs_scale: where epochs follow from the data, how many times as many are trained.
        schedule: what the learning rate is multiplied by over the course of training.
        patience: epochs without a better validation score before training stops; 0 for never.
    """

    ADDED: ClassVar[Mapping[str, Any]] = {"epochs_scale": 1.0}

    epochs: PositiveInt | None = 200
    epochs_scale: Multiple = 1.0
    schedule: Weight = field(default_factory=ConstantWeight)
    patience: NonNegativeInt = 20

    def data_defaults(self, data: Statistics) -> dict[str, Any]:
        epochs, rate = self._length(data.n_users, data.n_interactions)
        return {"epochs": epochs, "learning_rate": rate}

    def training(
        self,
        catalogue: TrainingCounts | None,
        *,
        optimiser: OptimiserName = "adam",
        weight_decay: float = 0.0,
        noise: bool = True,
        phases: tuple[Phase, ...] = (Phase(),),
    ) -> TrainingPlan:
        """Return the plan of these settings.

        Args:
            catalogue: of the training data, where they are known.
            optimiser: see `TrainingPlan`.
            weight_decay: see `TrainingPlan`.
            noise: see `TrainingPlan`.
            phases: see `TrainingPlan`.
        """
        if catalogue is None:
            epochs, rate = self._length(None, None)
        else:
            epochs, rate = self._length(catalogue.n_users, int(catalogue.item_counts.sum()))
        return TrainingPlan(
            epochs,
            self.batch_size,
            rate,
            self.patience,
            self.schedule,
            optimiser,
            weight_decay,
            noise,
            phases,
        )

    def _length(self, n_users: int | None, n_interactions: int | None) -> tuple[int, float]:
        """Epochs and learning rate on data of this size, or on data that are not known yet."""
        epochs = epochs_of(self.epochs, n_users, self.batch_size, self.epochs_scale)
        steps = epochs * math.ceil((n_users or 0) / self.batch_size)
        return epochs, rate_of(self.learning_rate, n_interactions, steps)


@dataclass(frozen=True)
class EvidenceBound(AutoencoderAlgorithm):
    """The part that maximises the evidence lower bound (Eq. 1), with alignment Eq. 8.

    Args:
        likelihood: p(x|z).
        beta: weight of the KL term.
        alignment: Personalized Item Alignment, or none.
    """

    likelihood: Likelihood | None = field(default_factory=BySize)
    beta: Weight = field(default_factory=LinearAnneal)
    alignment: PIA | None = None

    def evidence_bound(
        self, catalogue: TrainingCounts, seed: int, prior: Prior, n_latent: int
    ) -> Objective:
        """Return the objective, Eq. 1 or Eq. 8.

        Args:
            catalogue: of the training data.
            seed: of the parameters of prior and alignment.
            prior: p(z).
            n_latent: latent dimensions.
        """
        rng = torch.Generator().manual_seed(derive(seed, "prior"))
        of_latents = prior.build(catalogue.n_items, n_latent, rng)
        likelihood = likelihood_of(self.likelihood, catalogue)
        terms = {
            "reconstruction": WeightedTerm(likelihood.term(catalogue), ConstantWeight(1.0)),
            "kl": WeightedTerm(KL(of_latents), self.beta),
        }
        if self.alignment is not None:
            rng = torch.Generator().manual_seed(derive(seed, "anchors"))
            term = self.alignment.term(catalogue, n_latent, rng)
            terms["alignment"] = WeightedTerm(term, self.alignment.schedule(self.ALIGN_WEIGHT))
        return Objective(terms, of_latents)


def likelihood_of(chosen: Likelihood | None, catalogue: TrainingCounts) -> Likelihood:
    """Return the likelihood for a catalogue of this size.

    None is the multinomial likelihood without soft targets, as bundles say that were written
    before there were any.
    """
    likelihood = BySize(background=0.0) if chosen is None else chosen
    return likelihood.of(catalogue) if isinstance(likelihood, BySize) else likelihood


def optimiser_of(
    chosen: OptimiserName | None, likelihood: Likelihood | None, catalogue: TrainingCounts | None
) -> OptimiserName:
    """The optimiser that was chosen, or the one for this likelihood."""
    if chosen is not None:
        return chosen
    sampled = catalogue is not None and isinstance(likelihood_of(likelihood, catalogue), Sampled)
    return "lazy_adam" if sampled else "adam"


def epochs_of(chosen: int | None, n_users: int | None, batch_size: int, scale: float = 1.0) -> int:
    """Return how many epochs were chosen, or as many as make about `TRAINING_STEPS` steps.

    A small log has few steps per epoch and needs more epochs; a large one is passed over at
    least `FEWEST_EPOCHS` times.

    Args:
        chosen: the setting.
        n_users: of the training data, where they are known.
        batch_size: users per step.
        scale: how many times as many epochs as by this rule.
    """
    if chosen is not None:
        return chosen
    epochs = EPOCHS
    if n_users is not None:
        steps = max(1, math.ceil(n_users / batch_size))
        epochs = min(MOST_EPOCHS, max(FEWEST_EPOCHS, math.ceil(TRAINING_STEPS / steps)))
    return max(1, round(scale * epochs))


def rate_of(chosen: float | None, n_interactions: int | None, steps: int) -> float:
    """Return the learning rate that was chosen, or one for this amount of data.

    Adam's steps are as long for noise as for signal, so that few interactions are soon
    memorised, and many want a higher rate (docs/defaults.md).

    Args:
        chosen: the setting.
        n_interactions: of the training data, where they are known.
        steps: of the whole training.
    """
    if chosen is not None:
        return chosen
    if n_interactions is None:
        return RATE
    rate = LOWEST_RATE * (n_interactions / FEW_INTERACTIONS) ** 1.5
    rate = max(rate, LOWEST_RATE, LEAST_TRAVEL / steps)
    return float(f"{min(rate, HIGHEST_RATE, MOST_TRAVEL / steps):.4g}")
