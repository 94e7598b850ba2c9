"""What the algorithms that train autoencoders share: validation, identity of a run."""

from __future__ import annotations

from typing import Any

from nearfar.algorithms.algorithm import Algorithm
from nearfar.core import discovery, settings
from nearfar.core.errors import EmptyDataError
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.evaluation.evaluate import DEFAULT_METRICS, evaluate
from nearfar.metrics.metric import Metric
from nearfar.metrics.ndcg import NDCG
from nearfar.models.autoencoder import Autoencoder
from nearfar.train.loop import train
from nearfar.train.plan import Plan
from nearfar.train.run import Run
from nearfar.train.state import Validate
from nearfar.vae.objective import Objective

STOPPING_METRIC = NDCG(100)


def fit_autoencoder(
    algorithm: Algorithm,
    model: Autoencoder,
    objective: Objective,
    plan: Plan,
    interactions: Interactions,
    validation: FoldIn | None,
    run: Run,
) -> None:
    """Train the model's network in place by the objective; the best epoch's weights stay."""
    train(
        model.network,
        objective,
        plan,
        interactions.x,
        validate=validator(model, validation) if validation is not None else None,
        run=run,
        identity=identity(algorithm, interactions, validation),
    )
    model.network.eval()


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
