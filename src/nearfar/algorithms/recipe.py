"""Base classes that autoencoder algorithms are composed of: their settings and what they build.

An algorithm inherits from the ones it needs, adds settings, and overrides none of their methods.
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
"""Number of epochs while the training data are unknown."""

LOWEST_RATE, HIGHEST_RATE = 1e-3, 6e-3
FEW_INTERACTIONS = 50_000
"""Up to about this many interactions the learning rate is the lowest."""

LEAST_TRAVEL, MOST_TRAVEL = 0.35, 6.0
"""Bounds of the learning rate times the steps, which is about how far Adam can move a weight."""

RATE = 3e-3
"""Learning rate while the training data are unknown."""


@dataclass(frozen=True)
class Network(AutoencoderAlgorithm):
    """The settings of an encoder and of a decoder with hidden layers, and the network they build.

    Args:
        encoder: encoder from history to posterior.
        decoder_hidden: sizes of the decoder's hidden layers.
        decoder_units: units of the decoder's hidden layers: "tanh", as published, or "gated".
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
    """The settings of a training with one optimiser for a number of epochs, and its plan.

    Args:
        epochs: passes over the users.
        epochs_scale: factor of the number of epochs, where that is computed from the data.
        schedule: factor of the learning rate over the course of training.
        patience: epochs without a better validation score before training stops; 0 never stops.
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
            catalogue: counts of the training data, or None while they are unknown.
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
        """Return epochs and learning rate for data of this size, or of unknown size."""
        epochs = epochs_of(self.epochs, n_users, self.batch_size, self.epochs_scale)
        steps = epochs * math.ceil((n_users or 0) / self.batch_size)
        return epochs, rate_of(self.learning_rate, n_interactions, steps)


@dataclass(frozen=True)
class EvidenceBound(AutoencoderAlgorithm):
    """The settings of the evidence lower bound (Eq. 1; with alignment Eq. 8), and the objective.

    Args:
        likelihood: likelihood p(x|z).
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
            catalogue: counts of the training data.
            seed: random seed of the parameters of prior and alignment.
            prior: settings of the prior p(z).
            n_latent: latent dimensions.
        """
        rng = torch.Generator().manual_seed(derive(seed, "prior"))
        latent_prior = prior.build(catalogue.n_items, n_latent, rng)
        likelihood = likelihood_of(self.likelihood, catalogue)
        terms = {
            "reconstruction": WeightedTerm(likelihood.term(catalogue), ConstantWeight(1.0)),
            "kl": WeightedTerm(KL(latent_prior), self.beta),
        }
        if self.alignment is not None:
            rng = torch.Generator().manual_seed(derive(seed, "anchors"))
            term = self.alignment.term(catalogue, n_latent, rng)
            terms["alignment"] = WeightedTerm(term, self.alignment.schedule(self.ALIGN_WEIGHT))
        return Objective(terms, latent_prior)


def likelihood_of(setting: Likelihood | None, catalogue: TrainingCounts) -> Likelihood:
    """Return the likelihood for a catalogue of this size.

    None is the multinomial likelihood without soft targets: bundles from before soft targets have
    None.
    """
    likelihood = BySize(background=0.0) if setting is None else setting
    return likelihood.of(catalogue) if isinstance(likelihood, BySize) else likelihood


def optimiser_of(
    setting: OptimiserName | None, likelihood: Likelihood | None, catalogue: TrainingCounts | None
) -> OptimiserName:
    """Return the optimiser that is set, or the default for this likelihood."""
    if setting is not None:
        return setting
    sampled = catalogue is not None and isinstance(likelihood_of(likelihood, catalogue), Sampled)
    return "lazy_adam" if sampled else "adam"


def epochs_of(setting: int | None, n_users: int | None, batch_size: int, scale: float = 1.0) -> int:
    """Return the number of epochs that is set, or the one that makes about `TRAINING_STEPS` steps.

    It is between `FEWEST_EPOCHS` and `MOST_EPOCHS` before scaling.

    Args:
        setting: the number of epochs, or None for this rule.
        n_users: number of training users, or None while it is unknown.
        batch_size: users per step.
        scale: factor of the number of epochs by this rule.
    """
    if setting is not None:
        return setting
    epochs = EPOCHS
    if n_users is not None:
        steps = max(1, math.ceil(n_users / batch_size))
        epochs = min(MOST_EPOCHS, max(FEWEST_EPOCHS, math.ceil(TRAINING_STEPS / steps)))
    return max(1, round(scale * epochs))


def rate_of(setting: float | None, n_interactions: int | None, steps: int) -> float:
    """Return the learning rate that is set, or one for this amount of data.

    Adam's steps are as long for noise as for signal. Few interactions are therefore soon
    memorised, and many need a higher rate (docs/defaults.md).

    Args:
        setting: the learning rate, or None for this rule.
        n_interactions: number of training interactions, or None while it is unknown.
        steps: number of steps of the training.
    """
    if setting is not None:
        return setting
    if n_interactions is None:
        return RATE
    rate = LOWEST_RATE * (n_interactions / FEW_INTERACTIONS) ** 1.5
    rate = max(rate, LOWEST_RATE, LEAST_TRAVEL / steps)
    return float(f"{min(rate, HIGHEST_RATE, MOST_TRAVEL / steps):.4g}")
