"""Evaluate a model: rank items for every held-out user and compute one value per user."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Protocol, cast, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from nearfar.core.arguments import validate_arguments
from nearfar.core.errors import DataError, EmptyDataError, SettingsError, kind_of
from nearfar.core.ranking import Ranking
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.genres import genre_matrix
from nearfar.data.interactions import FoldIn
from nearfar.evaluation.evaluation import Evaluation as Evaluation
from nearfar.metrics.judged_ranking import JudgedRanking, joined, judge
from nearfar.metrics.metric import CatalogueMetric, Metric, UserMetric, parse_metric
from nearfar.metrics.ndcg import NDCG
from nearfar.metrics.recall import Recall

DEFAULT_METRICS: tuple[Metric, ...] = (Recall(20), Recall(50), NDCG(100))

MAX_PLACES = 1 << 24
"""Most users x places ranked at once: about 200 MiB, for any number of items."""


class Recommender(Protocol):
    """The interface that evaluation needs of a model; every fitted model has it."""

    @property
    def popularity(
        self,
    ) -> Int[np.ndarray, " items"] | Float[np.ndarray, " items"]:
        """The number of training users who interacted with each item."""
        ...

    @property
    def n_train_users(self) -> int:
        """The number of training users."""
        ...

    def top_k(self, histories: csr_array, k: int, *, exclude_seen: bool = True) -> Ranking:
        """Return the best k items for every history, best first."""
        ...


@runtime_checkable
class RecommenderWithItems(Protocol):
    """A model together with the ids of its items, such as a `Bundle`."""

    @property
    def model(self) -> Recommender:
        """The model."""
        ...

    @property
    def items(self) -> Vocabulary:
        """The item ids, in the order of the model's columns."""
        ...


@validate_arguments()
def evaluate(
    model: Recommender | RecommenderWithItems,
    data: FoldIn,
    metrics: Metric | str | Sequence[Metric | str] | None = None,
    *,
    name: str | None = None,
    batch_size: int = 4096,
    item_counts: np.ndarray | None = None,
    n_train_users: int | None = None,
    on_batch: Callable[[int, int], object] | None = None,
) -> Evaluation:
    """Rank each user's unseen items from the fold-in items and compare them with the held-out ones.

    Users are ranked once, in batches, at the deepest cutoff. Users without held-out items are
    dropped and counted. Metrics that need genres take them from the details of the items.

    Args:
        model: anything with `top_k`, `popularity` and `n_train_users`; or a bundle. A bundle is
            evaluated on the items that it knows; a warning counts the held-out interactions with
            other items, which are left out.
        data: users with their fold-in and held-out items.
        metrics: one or several metrics or their printed forms, such as "recall@20" or
            "recall@20,ndcg@100"; by default Recall@20, Recall@50 and NDCG@100.
        name: name of the model in tables; by default its algorithm and settings, or its class.
        batch_size: users per batch; fewer if the rankings are very deep.
        item_counts: training users of each item; by default the model's `popularity`.
        n_train_users: number of training users; by default the model's.
        on_batch: called with (users done, all users) after every batch.

    Raises:
        EmptyDataError: no user has held-out items.
        DataError: the model has other items, its rankings name an item twice, or a metric needs
            genres and the items have none.
        SettingsError: there is no metric, or one is unknown or has no cutoff.

    Examples:
        >>> evaluation = nf.evaluate(ease, split.test, [nf.Recall(5), "ndcg@10"])
        >>> [str(metric) for metric in evaluation.metrics]
        ['Recall@5', 'NDCG@10']
    """
    model, data = _model_and_data(model, data)
    parsed_metrics = parse_metrics(DEFAULT_METRICS if metrics is None else metrics)
    if batch_size < 1:
        raise SettingsError(f"batch_size is {batch_size}; it must be at least 1")
    train_counts = np.asarray(model.popularity if item_counts is None else item_counts)
    if len(train_counts) != data.fold_in.n_items:
        raise DataError(
            f"the model counts {len(train_counts)} items, the data has {data.fold_in.n_items}; "
            "evaluate on a split with the items that the model was trained on"
        )
    n_held_out = np.diff(data.held_out.x.indptr).astype(np.int64)
    users = np.flatnonzero(n_held_out)
    if len(users) == 0:
        raise EmptyDataError(f"none of the {data.n_users} users has held-out items to find")
    train_counts = np.rint(train_counts).astype(np.int64)
    n_train_users = model.n_train_users if n_train_users is None else n_train_users
    depth = max(metric.depth for metric in parsed_metrics)
    if any(metric.whole for metric in parsed_metrics):
        depth = max(depth, data.fold_in.n_items)
    batch_size = max(1, min(batch_size, MAX_PLACES // depth))
    by_genre = any(metric.by_genre for metric in parsed_metrics)
    genres = genre_matrix(data.fold_in.item_ids)[1] if by_genre else None

    per_batch: dict[UserMetric, list[np.ndarray]] = {
        metric: [] for metric in parsed_metrics if isinstance(metric, UserMetric)
    }
    catalogue_metrics = [metric for metric in parsed_metrics if isinstance(metric, CatalogueMetric)]
    judged_batches: list[JudgedRanking] = []
    for start in range(0, len(users), batch_size):
        rows = users[start : start + batch_size]
        histories = data.fold_in.x[rows]
        ranking = model.top_k(histories, depth, exclude_seen=True)
        judged = judge(
            ranking,
            data.held_out.x[rows],
            train_counts,
            n_train_users,
            histories=histories,
            genres=genres,
        )
        for metric, batches in per_batch.items():
            batches.append(metric.per_user(judged))
        if catalogue_metrics:
            judged_batches.append(
                judged.truncated(max(metric.depth for metric in catalogue_metrics))
            )
        if on_batch is not None:
            on_batch(start + len(rows), len(users))
    all_judged = joined(judged_batches) if judged_batches else None
    return Evaluation(
        name=name or getattr(model, "label", None) or type(model).__name__,
        per_user={metric: np.concatenate(batches) for metric, batches in per_batch.items()},
        overall={metric: metric.overall(all_judged) for metric in catalogue_metrics if all_judged},
        user_ids=data.fold_in.user_ids.take(users),
        n_fold_in=np.diff(data.fold_in.x.indptr).astype(np.int64)[users],
        n_held_out=n_held_out[users],
        n_dropped=data.n_users - len(users),
    )


def _model_and_data(
    model: Recommender | RecommenderWithItems, data: FoldIn
) -> tuple[Recommender, FoldIn]:
    """Return the model and the users; for a bundle, its model and the users over its items."""
    if not isinstance(data, FoldIn):
        raise DataError(
            f"a model is evaluated on held-out users (split.test), not on {kind_of(data)}"
        )
    if not hasattr(model, "top_k") and isinstance(model, RecommenderWithItems):
        data, message = on_items_of(data, model.items)
        if message:
            warnings.warn(message, stacklevel=3)
        model = model.model
    if not hasattr(model, "top_k"):
        raise DataError(
            f"{kind_of(model)} does not rank; give a fitted model, as algorithm.fit(split.train), "
            "or a bundle"
        )
    return cast("Recommender", model), data


def on_items_of(data: FoldIn, items: Vocabulary) -> tuple[FoldIn, str | None]:
    """Return held-out users over the items of a bundle, and a message if this loses interactions.

    Args:
        data: the users.
        items: the items of the bundle.

    Returns:
        The users, and the message or None.
    """
    if data.fold_in.item_ids == items:
        return data, None
    mapped = data.on_items(items)
    n_lost = data.held_out.n_interactions - mapped.held_out.n_interactions
    if not n_lost:
        return mapped, None
    return mapped, (
        f"the bundle knows other items than the split: {n_lost:,} of "
        f"{data.held_out.n_interactions:,} held-out interactions are of items that it cannot "
        "recommend; they are left out"
    )


SEPARATOR = re.compile(r"[,;](?![^(]*\))")
"""The separator of metrics in a text; a comma within parentheses separates settings."""


def parse_metrics(metrics: Metric | str | Sequence[Metric | str]) -> tuple[Metric, ...]:
    """Return each metric once, from one or several metrics or their printed forms.

    One text may name several, such as "ndcg@100, recall@20".

    Raises:
        SettingsError: no metric is given, or one is unknown, lacks its cutoff or is not a metric.
    """
    if isinstance(metrics, str):
        metrics = SEPARATOR.split(metrics)
    if isinstance(metrics, Metric | type):
        metrics = [metrics]
    if not metrics:
        raise SettingsError("no metrics to evaluate; name some, such as ndcg@100")
    for metric in metrics:
        if isinstance(metric, type):
            name = metric.__name__
            raise SettingsError(
                f"{name} is a class; give the metric with its cutoff, as {name}(20)"
            )
        if not isinstance(metric, str | Metric):
            raise SettingsError(
                f"{metric!r} is not a metric; expected one such as nf.NDCG(20) or 'ndcg@20'"
            )
    return tuple(dict.fromkeys(parse_metric(m) if isinstance(m, str) else m for m in metrics))
