"""What the algorithms that train autoencoders share: fitting, validation, identity."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeVar

import torch
from scipy.sparse import csr_array

from nearfar.algorithms.algorithm import Algorithm, check_not_empty
from nearfar.algorithms.collapse import refusing_collapse
from nearfar.algorithms.label import label_of
from nearfar.algorithms.requirements import FLOAT_BYTES, Requirements
from nearfar.core import discovery, settings
from nearfar.core.errors import (
    CollapsedError,
    DivergedError,
    EmptyDataError,
    NearfarError,
    StoppedError,
)
from nearfar.core.ranges import LayerSize, PositiveFloat, PositiveInt
from nearfar.core.seeding import derive
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.evaluation.evaluate import DEFAULT_METRICS, evaluate
from nearfar.metrics.metric import Metric
from nearfar.metrics.ndcg import NDCG
from nearfar.models.autoencoder import Architecture, Autoencoder
from nearfar.models.model import Model
from nearfar.train.callback import report_warning
from nearfar.train.history import Attempt, History
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
"""Matrices of users x items that a step holds at once, and the most memory that they take."""

A = TypeVar("A")

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class AutoencoderAlgorithm(Algorithm):
    """An algorithm that trains an autoencoder: it says what is built, minimised, and how long.

    Class attributes:
        ALIGN_WEIGHT: lambda_A of an alignment whose weight is not set.
        USER_NODES: whether every training user has a node in the encoder while it trains.

    Args:
        n_latent: latent dimensions K.
        corruption: what the encoder is shown in training.
        start: the initialiser of the network's weights.
        batch_size: users per step.
        learning_rate: of Adam.

    Raises:
        SettingsError: a hyper-parameter has the wrong type or is out of range.
    """

    WEIGHTED: ClassVar[bool] = True
    ALIGN_WEIGHT: ClassVar[float] = 1.0
    USER_NODES: ClassVar[bool] = False

    n_latent: LayerSize = 200
    corruption: Corruption = field(default_factory=Dropout)
    start: Initialiser = field(default_factory=Xavier)
    batch_size: PositiveInt = 500
    learning_rate: PositiveFloat | None = 1e-3

    def check_together(self) -> None:
        self.plan()

    @abstractmethod
    def architecture(self, n_items: int) -> Architecture:
        """What the network is built from."""

    @abstractmethod
    def objective(self, catalogue: TrainingCounts, seed: int) -> Objective:
        """What is minimised; its parameters are trained too."""

    @abstractmethod
    def plan(self, catalogue: TrainingCounts | None = None) -> TrainingPlan:
        """How long the network is trained, and by what steps, on a catalogue of this size."""

    def requirements(self, train: Interactions) -> Requirements:
        weights = COPIES_OF_WEIGHTS * self._n_parameters(train.n_items)
        batch = SCORES_OF_A_BATCH * self.batch_size * train.n_items
        start = 3 * (self.n_latent + OVERSAMPLING) * (train.n_users + train.n_items)
        scores = min(FLOAT_BYTES * batch, MOST_SCORE_BYTES)
        return Requirements(FLOAT_BYTES * (weights + start) + scores)

    def _n_parameters(self, n_items: int) -> int:
        """Return the number of weights; a network has a fixed part and one part per item."""

        def count(n: int) -> int:
            network = self.architecture(n).build(torch.Generator().manual_seed(0))
            return sum(p.numel() for p in network.parameters())

        two, three = count(2), count(3)
        return two + (n_items - 2) * (three - two)

    def fit(
        self, train: Interactions, validation: FoldIn | None = None, *, run: Run | None = None
    ) -> Autoencoder:
        """Fit; the epoch with the best validation NDCG@100 is kept, without validation the last.

        Raises:
            DivergedError: a term or a weight is no longer finite.
            CollapsedError: an alignment leaves no more than popularity.
        """
        check_not_empty(train)

        def fit_one(algorithm: AutoencoderAlgorithm, run: Run) -> Autoencoder:
            return _fit_one(algorithm, train, validation, run)

        return best_attempt(self.tried(validation), fit_one, run or Run())

    def tried(self, validation: FoldIn | None) -> tuple[Self, ...]:
        """Return what is fitted: all alternatives where validation users can choose."""
        return self.alternatives()[: None if validation is not None else 1]

    def as_fitted(self, model: Model) -> Self:
        for one in self.alternatives():
            architecture = one.architecture(len(model.popularity))
            if isinstance(model, Autoencoder) and model.architecture == architecture:
                return one
        return self


def _fit_one(
    algorithm: AutoencoderAlgorithm, train: Interactions, validation: FoldIn | None, run: Run
) -> Autoencoder:
    """Fit one network."""
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
    """What a training needs of an algorithm, made for its data.

    Attributes:
        model: around the network that is trained.
        objective: what is minimised.
        plan: how long, and by what steps.
    """

    model: Autoencoder
    objective: Objective
    plan: TrainingPlan

    def validator(self, validation: FoldIn, run: Run) -> Validate:
        """Return what scores the model as it is, and refuses one that an alignment collapsed."""
        return refusing_collapse(
            validator(self.model, validation), self.model, validation,
            objective=self.objective, plan=self.plan, run=run,
        )  # fmt: skip

    def fitted(self) -> Autoencoder:
        """Return the model after training, without what only training needs."""
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
    """Return what a training needs: a network with its initial weights, the objective, the plan.

    Args:
        algorithm: what is fitted.
        x: training users x items, or those of one process.
        catalogue: of all training data.
        seed: of everything random.
        add_up: adds up over the processes that share the training users.
    """
    architecture = algorithm.architecture(catalogue.n_items)
    network = architecture.build(torch.Generator().manual_seed(derive(seed, "weights")))
    algorithm.start.apply(network, x, seed, add_up)
    if algorithm.USER_NODES:
        network.encoder.add_user_nodes(catalogue.n_users)
    model = Autoencoder(architecture, network, catalogue.item_counts, catalogue.n_users)
    return Assembly(model, algorithm.objective(catalogue, seed), algorithm.plan(catalogue))


def validator(model: Autoencoder, validation: FoldIn) -> Validate:
    """A function that scores the model as it is; NDCG@100 comes first and decides.

    Raises:
        EmptyDataError: no validation user has anything to find.
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
    """What a checkpoint must agree on with the run that takes it up."""
    held_out = validation.held_out.fingerprint if validation is not None else None
    fold_in = validation.fold_in.fingerprint if validation is not None else None
    return {
        "algorithm": discovery.name_of(type(algorithm)),
        "settings": settings.to_plain(algorithm),
        "train": interactions.fingerprint,
        "validation": [fold_in, held_out],
    }


def best_attempt(attempts: Sequence[A], fit: Callable[[A, Run], M], run: Run) -> M:
    """Fit one algorithm after the other, and keep the model with the best validation score.

    With one algorithm this is its fit. Of several, each has its checkpoint and metrics.jsonl in
    `part-0` and so on in the run's folder, and the run's history is the best one's, with all of
    them as its `attempts`. Equal scores keep the earlier one. One whose training fails is an
    attempt with an `error`, and a warning says so. After Ctrl-C no other is begun.

    Args:
        attempts: the algorithms, in turn.
        fit: fits one of them by a run; the history holds validation scores.
        run: of all of them.

    Raises:
        NearfarError: no training succeeded; the error of the first one.
    """
    if len(attempts) == 1:
        return fit(attempts[0], run)
    run.history.clear()
    fitted: list[tuple[M, History]] = []
    errors: list[NearfarError] = []
    for i, algorithm in enumerate(attempts):
        name = f"network {i + 1} of {len(attempts)}"
        for callback in run.callbacks:
            callback.part(name)
        own = run.part(i)
        label = label_of(algorithm)
        history = own.history
        try:
            fitted.append((fit(algorithm, own), history))
        except (CollapsedError, DivergedError, StoppedError) as error:
            errors.append(error)
            history.interrupted = isinstance(error, StoppedError)
            run.history.attempts.append(Attempt(label, None, len(history.records), str(error)))
            if not history.interrupted:
                report_warning(run.callbacks, f"{name} failed and is left out: {error}")
        else:
            run.history.attempts.append(Attempt(label, history.best_score, len(history.records)))
        finally:
            run.history.interrupted = history.interrupted
        if history.interrupted:
            break
    if not fitted:
        raise errors[0]
    model, best = max(fitted, key=lambda each: each[1].best_score)
    run.history.records.extend(best.records)
    run.history.stopped_early = best.stopped_early
    return model
