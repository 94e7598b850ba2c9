"""Evaluating a model: rank for every held-out user, judge, and keep one value per user."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Protocol, cast, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from nearfar.core.arguments import told_in_words
from nearfar.core.errors import DataError, EmptyDataError, SettingsError, kind_of
from nearfar.core.ranking import Ranking
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.genres import genre_matrix
from nearfar.data.interactions import FoldIn
from nearfar.evaluation.evaluation import Evaluation as Evaluation
from nearfar.metrics.judged import Judged, joined, judge
from nearfar.metrics.metric import CatalogueMetric, Metric, UserMetric, parse_metric
from nearfar.metrics.ndcg import NDCG
from nearfar.metrics.recall import Recall

DEFAULT_METRICS: tuple[Metric, ...] = (Recall(20), Recall(50), NDCG(100))

MAX_PLACES = 1 << 24
"""Places ranked at once: some 200 MiB, whatever the number of items."""


class Recommender(Protocol):
    """What evaluation needs of a model; every fitted model has it."""

    @property
    def popularity(
        self,
    ) -> Int[np.ndarray, " items"] | Float[np.ndarray, " items"]:
        """How many training users interacted with each item."""
        ...

    @property
    def n_train_users(self) -> int:
        """How many training users there were."""
        ...

    def top_k(self, histories: csr_array, k: int, *, exclude_seen: bool = True) -> Ranking:
        """The best k items of every history, best first."""
        ...


@runtime_checkable
class RecommenderWithItems(Protocol):
    """A model with the ids of its items, as a `Bundle`."""

    @property
    def model(self) -> Recommender:
        """What ranks."""
        ...

    @property
    def items(self) -> Vocabulary:
        """The ids of its items, in order."""
        ...


@told_in_words()
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
    """Rank every user's unseen items from the fold-in and judge them by the held-out ones.

    Users are ranked once, at the deepest cutoff, a batch at a time; users with nothing held out
    are dropped and counted. Metrics of genres take them from the items' details.

    Args:
        model: anything with `top_k`, `popularity` and `n_train_users`; or a bundle, which is
            measured on the items that it knows: held-out interactions of other items are left out,
            with a warning that counts them.
        data: users with what the model may see and what it must find.
        metrics: one or several metrics or their printed forms, as "recall@20" or
            "recall@20,ndcg@100"; by default Recall@20, Recall@50 and NDCG@100.
        name: what tables call the model; by default its algorithm and settings, or its class.
        batch_size: users given to the model at once; fewer where the rankings are very deep.
        item_counts: training users of each item, where not the model's `popularity`.
        n_train_users: training users, where not the model's.
        on_batch: called with (users done, users in all) after every batch.

    Raises:
        EmptyDataError: no user has anything held out.
        DataError: the model is of other items, its rankings name an item twice, or a metric
            needs genres and the items have none.
        SettingsError: there is no metric, or one is unknown or has no cutoff.

    Examples:
        >>> found = nf.evaluate(ease, split.test, [nf.Recall(5), "ndcg@10"])
        >>> [str(metric) for metric in found.metrics]
        ['Recall@5', 'NDCG@10']
    """
    model, data = _checked(model, data)
    chosen = parse_metrics(DEFAULT_METRICS if metrics is None else metrics)
    if batch_size < 1:
        raise SettingsError(f"batch_size is {batch_size}; it must be at least 1")
    counts = np.asarray(model.popularity if item_counts is None else item_counts)
    if len(counts) != data.fold_in.n_items:
        raise DataError(
            f"the model counts {len(counts)} items, the data has {data.fold_in.n_items}; "
            "evaluate on a split with the items that it was trained on"
        )
    n_held_out = np.diff(data.held_out.x.indptr).astype(np.int64)
    users = np.flatnonzero(n_held_out)
    if len(users) == 0:
        raise EmptyDataError(f"none of the {data.n_users} users has held-out items to find")
    counts = np.rint(counts).astype(np.int64)
    trained_on = model.n_train_users if n_train_users is None else n_train_users
    depth = max(metric.depth for metric in chosen)
    if any(metric.whole for metric in chosen):
        depth = max(depth, data.fold_in.n_items)
    batch_size = max(1, min(batch_size, MAX_PLACES // depth))
    by_genre = any(metric.by_genre for metric in chosen)
    genres = genre_matrix(data.fold_in.item_ids)[1] if by_genre else None

    per_batch: dict[UserMetric, list[np.ndarray]] = {
        metric: [] for metric in chosen if isinstance(metric, UserMetric)
    }
    of_catalogue = [metric for metric in chosen if isinstance(metric, CatalogueMetric)]
    kept: list[Judged] = []
    for start in range(0, len(users), batch_size):
        rows = users[start : start + batch_size]
        histories = data.fold_in.x[rows]
        ranking = model.top_k(histories, depth, exclude_seen=True)
        judged = judge(
            ranking, data.held_out.x[rows], counts, trained_on, histories=histories, genres=genres
        )
        for metric, parts in per_batch.items():
            parts.append(metric.per_user(judged))
        if of_catalogue:
            kept.append(judged.first(max(metric.depth for metric in of_catalogue)))
        if on_batch is not None:
            on_batch(start + len(rows), len(users))
    everyone = joined(kept) if kept else None
    return Evaluation(
        name=name or getattr(model, "label", None) or type(model).__name__,
        per_user={metric: np.concatenate(parts) for metric, parts in per_batch.items()},
        overall={metric: metric.overall(everyone) for metric in of_catalogue if everyone},
        user_ids=data.fold_in.user_ids.take(users),
        n_fold_in=np.diff(data.fold_in.x.indptr).astype(np.int64)[users],
        n_held_out=n_held_out[users],
        n_dropped=data.n_users - len(users),
    )


def _checked(model: Recommender | RecommenderWithItems, data: FoldIn) -> tuple[Recommender, FoldIn]:
    """Return what ranks and the users; of a bundle its model, and the users over its items."""
    if not isinstance(data, FoldIn):
        raise DataError(
            f"a model is evaluated on held-out users (split.test), not on {kind_of(data)}"
        )
    if not hasattr(model, "top_k") and isinstance(model, RecommenderWithItems):
        data, lost = on_items_of(data, model.items)
        if lost:
            warnings.warn(lost, stacklevel=3)
        model = model.model
    if not hasattr(model, "top_k"):
        raise DataError(
            f"{kind_of(model)} does not rank; give a fitted model, as algorithm.fit(split.train), "
            "or a bundle"
        )
    return cast("Recommender", model), data


def on_items_of(data: FoldIn, items: Vocabulary) -> tuple[FoldIn, str | None]:
    """Return held-out users over a bundle's items, and what that loses in words; None for nothing.

    Args:
        data: the users.
        items: that the bundle knows.
    """
    if data.fold_in.item_ids == items:
        return data, None
    moved = data.on_items(items)
    lost = data.held_out.n_interactions - moved.held_out.n_interactions
    if not lost:
        return moved, None
    return moved, (
        f"the bundle knows other items than the split: {lost:,} of "
        f"{data.held_out.n_interactions:,} held-out interactions are of items that it cannot "
        "recommend and are left out"
    )


BETWEEN = re.compile(r"[,;](?![^(]*\))")
"""What separates metrics in a text; a comma of a metric's own settings does not."""


def parse_metrics(metrics: Metric | str | Sequence[Metric | str]) -> tuple[Metric, ...]:
    """Return metrics, each once, from metrics or their printed forms, in a list or alone.

    One text may name several, as "ndcg@100, recall@20".

    Raises:
        SettingsError: no metric is given, or one is unknown, lacks its cutoff or is not a metric.
    """
    if isinstance(metrics, str):
        metrics = BETWEEN.split(metrics)
    if isinstance(metrics, Metric | type):
        metrics = [metrics]
    if not metrics:
        raise SettingsError("no metrics to evaluate; name some, as ndcg@100")
    for metric in metrics:
        if isinstance(metric, type):
            name = metric.__name__
            raise SettingsError(
                f"{name} is a class; give the metric with its cutoff, as {name}(20)"
            )
        if not isinstance(metric, str | Metric):
            raise SettingsError(f"{metric!r} is no metric; give one, as nf.NDCG(20) or 'ndcg@20'")
    return tuple(dict.fromkeys(parse_metric(m) if isinstance(m, str) else m for m in metrics))
