"""The base of the algorithms that train autoencoders: fitting, validation, identity."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from scipy.sparse import csr_array

from nearfar.algorithms.algorithm import Algorithm, check_not_empty
from nearfar.algorithms.best_attempt import best_attempt
from nearfar.algorithms.collapse import refusing_collapse
from nearfar.algorithms.requirements import FLOAT_BYTES, Requirements
from nearfar.core import discovery, settings
from nearfar.core.errors import (
    EmptyDataError,
)
from nearfar.core.ranges import LayerSize, PositiveFloat, PositiveInt
from nearfar.core.seeding import derive
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.evaluation.evaluate import DEFAULT_METRICS, evaluate
from nearfar.metrics.metric import Metric
from nearfar.metrics.ndcg import NDCG
from nearfar.models.autoencoder import Architecture, Autoencoder
from nearfar.models.model import Model
from nearfar.train.loop import train as train_network
from nearfar.train.plan import TrainingPlan
from nearfar.train.run import Run
from nearfar.train.state import Validate
from nearfar.vae.corruption.corruption import Corruption, Dropout
from nearfar.vae.initialisers.initialiser import AddUp, Initialiser, alone
from nearfar.vae.initialisers.spectral import OVERSAMPLING
from nearfar.vae.initialisers.xavier import Xavier
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.objective import Objective
from nearfar.vae.terms.alignment import Alignment

STOPPING_METRIC = NDCG(100)

COPIES_OF_WEIGHTS = 5
"""Weights, gradients, two moments of Adam, and the best epoch's weights."""

SCORES_OF_A_BATCH, MOST_SCORE_BYTES = 3, 512 << 20
"""Matrices of users x items that a step holds at once, and the most memory they take in bytes."""


@dataclass(frozen=True)
class AutoencoderAlgorithm(Algorithm):
    """The base of algorithms that train an autoencoder.

    A subclass defines the architecture, the objective and the training plan.

    Class attributes:
        ALIGN_WEIGHT: lambda_A where the alignment sets no weight.
        USER_NODES: whether every training user has a node in the encoder during training.

    Args:
        n_latent: latent dimensions K.
        corruption: how the encoder's input is corrupted in training.
        initialiser: initialiser of the network's weights.
        batch_size: users per step.
        learning_rate: learning rate of Adam.

    Raises:
        SettingsError: a hyper-parameter has the wrong type or is out of range.
    """

    WEIGHTED: ClassVar[bool] = True
    RENAMED: ClassVar[Mapping[str, str]] = {"start": "initialiser"}
    ALIGN_WEIGHT: ClassVar[float] = 1.0
    USER_NODES: ClassVar[bool] = False

    n_latent: LayerSize = 200
    corruption: Corruption = field(default_factory=Dropout)
    initialiser: Initialiser = field(default_factory=Xavier)
    batch_size: PositiveInt = 500
    learning_rate: PositiveFloat | None = 1e-3

    def check_together(self) -> None:
        self.plan()

    @abstractmethod
    def architecture(self, n_items: int) -> Architecture:
        """Return the architecture of the network."""

    @abstractmethod
    def objective(self, catalogue: TrainingCounts, seed: int) -> Objective:
        """Return the objective; its own parameters are trained too."""

    @abstractmethod
    def plan(self, catalogue: TrainingCounts | None = None) -> TrainingPlan:
        """Return the training plan for a catalogue of this size."""

    def requirements(self, train: Interactions) -> Requirements:
        weights = COPIES_OF_WEIGHTS * self._n_parameters(train.n_items)
        batch = SCORES_OF_A_BATCH * self.batch_size * train.n_items
        start = 3 * (self.n_latent + OVERSAMPLING) * (train.n_users + train.n_items)
        scores = min(FLOAT_BYTES * batch, MOST_SCORE_BYTES)
        return Requirements(FLOAT_BYTES * (weights + start) + scores)

    def _n_parameters(self, n_items: int) -> int:
        """Return the number of weights, which is linear in the number of items."""

        def count(n: int) -> int:
            network = self.architecture(n).build(torch.Generator().manual_seed(0))
            return sum(p.numel() for p in network.parameters())

        with_two, with_three = count(2), count(3)
        return with_two + (n_items - 2) * (with_three - with_two)

    def fit(
        self, train: Interactions, validation: FoldIn | None = None, *, run: Run | None = None
    ) -> Autoencoder:
        """Fit and keep the epoch with the best validation NDCG@100, or the last without validation.

        Raises:
            DivergedError: a term or a weight is no longer finite.
            CollapsedError: the alignment reduced the model to popularity.
        """
        check_not_empty(train)

        def fit_one(algorithm: AutoencoderAlgorithm, run: Run) -> Autoencoder:
            return _fit_one(algorithm, train, validation, run)

        catalogue = TrainingCounts(train.item_counts, train.n_users)
        return best_attempt(self.candidates(catalogue, validation), fit_one, run or Run())

    def candidates(self, catalogue: TrainingCounts, validation: FoldIn | None) -> tuple[Self, ...]:
        """Return the algorithms to fit: all alternatives with validation users, else the first."""
        return self.alternatives(catalogue)[: None if validation is not None else 1]

    def as_fitted(self, model: Model) -> Self:
        catalogue = TrainingCounts(model.popularity, model.n_train_users)
        for alternative in self.alternatives(catalogue):
            architecture = alternative.architecture(len(model.popularity))
            if isinstance(model, Autoencoder) and model.architecture == architecture:
                return alternative
        return self


def _fit_one(
    algorithm: AutoencoderAlgorithm, train: Interactions, validation: FoldIn | None, run: Run
) -> Autoencoder:
    """Return the model of one algorithm, without its alternatives."""
    parts = assemble(algorithm, train.x, TrainingCounts(train.item_counts, train.n_users), run.seed)
    train_network(
        parts.model.network,
        parts.objective,
        parts.plan,
        train.weighted,
        validate=None if validation is None else parts.validator(validation, run),
        run=run,
        identity=identity(algorithm, train, validation),
    )
    return parts.fitted()


@dataclass(frozen=True, eq=False)
class Assembly:
    """A model with its objective and training plan, ready to train.

    Attributes:
        model: wraps the network that is trained.
        objective: the objective to minimise.
        plan: length, optimiser and phases of the training.
    """

    model: Autoencoder
    objective: Objective
    plan: TrainingPlan

    def validator(self, validation: FoldIn, run: Run) -> Validate:
        """Return a function that scores the current model, and raises if it has collapsed."""
        return refusing_collapse(
            validator(self.model, validation), self.model, validation,
            objective=self.objective, plan=self.plan, run=run,
        )  # fmt: skip

    def fitted(self) -> Autoencoder:
        """Return the trained model, without the parts that only training needs."""
        self.model.network.eval()
        self.model.network.encoder.drop_user_nodes()
        alignment = self.objective.terms.get("alignment")
        if alignment is not None and isinstance(alignment.term, Alignment):
            self.model.anchors = alignment.term.anchors.detach().cpu().numpy()
        if self.objective.prior is not None:
            self.model.prior = self.objective.prior.learned()
        return self.model


def assemble(
    algorithm: AutoencoderAlgorithm,
    x: csr_array,
    catalogue: TrainingCounts,
    seed: int,
    add_up: AddUp = alone,
) -> Assembly:
    """Return a model with initial weights, its objective and its training plan.

    Args:
        algorithm: the algorithm to fit.
        x: training users x items, or the rows of one process.
        catalogue: counts over all training data.
        seed: random seed.
        add_up: sums over the processes that share the training users.
    """
    architecture = algorithm.architecture(catalogue.n_items)
    network = architecture.build(torch.Generator().manual_seed(derive(seed, "weights")))
    algorithm.initialiser.apply(network, x, seed, add_up)
    if algorithm.USER_NODES:
        network.encoder.add_user_nodes(catalogue.n_users)
    model = Autoencoder(architecture, network, catalogue.item_counts, catalogue.n_users)
    return Assembly(model, algorithm.objective(catalogue, seed), algorithm.plan(catalogue))


def validator(model: Autoencoder, validation: FoldIn) -> Validate:
    """Return a function that scores the current model; NDCG@100 comes first and decides.

    Raises:
        EmptyDataError: no validation user has a held-out item.
    """
    if not validation.held_out.n_interactions:
        raise EmptyDataError("no validation user has a held-out item; hold out more users")
    metrics: tuple[Metric, ...] = (
        STOPPING_METRIC,
        *(m for m in DEFAULT_METRICS if m != STOPPING_METRIC),
    )

    def validate() -> dict[str, float]:
        result = evaluate(model, validation, metrics)
        return {str(metric): result.mean(metric) for metric in metrics}

    return validate


def identity(
    algorithm: Algorithm, interactions: Interactions, validation: FoldIn | None
) -> dict[str, Any]:
    """Return what must be equal in a checkpoint and in the run that resumes from it."""
    held_out = validation.held_out.fingerprint if validation is not None else None
    fold_in = validation.fold_in.fingerprint if validation is not None else None
    return {
        "algorithm": discovery.name_of(type(algorithm)),
        "settings": settings.to_plain(algorithm),
        "train": interactions.fingerprint,
        "validation": [fold_in, held_out],
    }
