"""Evaluating a model: rank for every held-out user, judge, and keep one value per user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from nearfar.core.errors import DataError, EmptyDataError, SettingsError
from nearfar.core.ranking import Ranking
from nearfar.data.interactions import FoldIn
from nearfar.evaluation.evaluation import Evaluation as Evaluation
from nearfar.metrics.judged import Judged, joined, judge
from nearfar.metrics.metric import CatalogueMetric, Metric, UserMetric, parse_metric
from nearfar.metrics.ndcg import NDCG
from nearfar.metrics.recall import Recall

DEFAULT_METRICS: tuple[Metric, ...] = (Recall(20), Recall(50), NDCG(100))


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


def evaluate(
    model: Recommender,
    data: FoldIn,
    metrics: Sequence[Metric | str] = DEFAULT_METRICS,
    *,
    name: str | None = None,
    batch_size: int = 4096,
    item_counts: np.ndarray | None = None,
    n_train_users: int | None = None,
    on_batch: Callable[[int, int], object] | None = None,
) -> Evaluation:
    """Rank every user's unseen items from the fold-in and judge them by the held-out ones.

    Users are ranked once, at the deepest cutoff, a batch at a time; users with nothing held out
    are dropped and counted.

    Args:
        model: anything with `top_k`, `popularity` and `n_train_users`.
        data: users with what the model may see and what it must find.
        metrics: metrics or their printed forms, as "recall@20".
        name: what tables call the model; by default its algorithm and settings, or its class.
        batch_size: users given to the model at once.
        item_counts: training users of each item, where not the model's `popularity`.
        n_train_users: training users, where not the model's.
        on_batch: called with (users done, users in all) after every batch.

    Raises:
        EmptyDataError: no user has anything held out.
        DataError: the model is of other items, or its rankings name an item twice.
        SettingsError: there is no metric, or one is unknown or has no cutoff.

    Examples:
        >>> found = nf.evaluate(ease, split.test, [nf.Recall(5), "ndcg@10"])
        >>> [str(metric) for metric in found.metrics]
        ['Recall@5', 'NDCG@10']
    """
    if not isinstance(data, FoldIn):
        raise DataError(
            f"a model is evaluated on held-out users (split.test), not on a {type(data).__name__}"
        )
    if not hasattr(model, "top_k"):
        raise DataError(f"a {type(model).__name__} does not rank; of a bundle give bundle.model")
    chosen = _metrics(metrics)
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

    per_batch: dict[UserMetric, list[np.ndarray]] = {
        metric: [] for metric in chosen if isinstance(metric, UserMetric)
    }
    of_catalogue = [metric for metric in chosen if isinstance(metric, CatalogueMetric)]
    kept: list[Judged] = []
    for start in range(0, len(users), batch_size):
        rows = users[start : start + batch_size]
        ranking = model.top_k(data.fold_in.x[rows], depth, exclude_seen=True)
        judged = judge(ranking, data.held_out.x[rows], counts, trained_on)
        for metric, parts in per_batch.items():
            parts.append(metric.per_user(judged))
        if of_catalogue:
            kept.append(judged)
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


def _metrics(metrics: Sequence[Metric | str]) -> tuple[Metric, ...]:
    if not metrics:
        raise SettingsError("no metrics to evaluate; name some, as ndcg@100")
    return tuple(dict.fromkeys(parse_metric(m) if isinstance(m, str) else m for m in metrics))
