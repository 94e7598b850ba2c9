"""Build an index: measure the search effort that the recall takes, and whether the index pays."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.sparse import csr_array

from nearfar.bundle.bundle import Bundle, check_bundle
from nearfar.bundle.item_graph import (
    BUILD_EFFORT,
    N_NEIGHBOURS,
    build_graph,
    fingerprint,
    require_faiss,
    require_inner_products,
)
from nearfar.bundle.item_index import MARGIN, ItemIndex
from nearfar.core.arguments import validate_arguments
from nearfar.core.errors import DataError, SettingsError
from nearfar.core.ranking import Ranking
from nearfar.core.seeding import generator
from nearfar.data.interactions import canonical
from nearfar.evaluation.intervals import mean_interval
from nearfar.models.model import Model

N_HISTORIES = 500
"""Histories that recall is measured on; the interval of a recall of .99 is then about .003 wide."""

MAX_LENGTH = 200
"""Largest number of items in a made-up history."""

N_TIMED, MIN_TIMED = 30, 3
"""Users that are timed, and the least number of batches."""

BATCH_USERS = 32
"""Users per timed batch, as many as `nearfar serve` scores at once."""

GROWTH = 1.5
"""Factor by which the effort grows from one try to the next."""

INSTEAD = "recommend without an index, or ask for less recall (--recall)"
FROM_FILE = "histories that were given"
MADE_UP = "histories made up of items drawn by popularity"


@validate_arguments()
def build_index(
    bundle: Bundle,
    histories: csr_array | None = None,
    *,
    k: int = 100,
    recall: float = 0.99,
    force: bool = False,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> ItemIndex:
    """Build an index of a bundle's items that reaches the requested recall.

    The search effort is raised until the 95 % interval of recall@k lies above `recall`. Recall is
    the share of the exact best k items, without those of the history, that the index also returns.
    `metadata` of the result holds "recall" (mean, low, high), "milliseconds" per user with and
    without the index, for one user and for 32 at once, "measured_on" and "build_seconds".

    Args:
        bundle: a bundle of an autoencoder or a factor model.
        histories: users x items; recall is measured on a random sample of at most 500 of them. By
            default histories are made up of items drawn by popularity.
        k: the longest list that the index is for; longer ones are ranked exactly.
        recall: the recall@k to reach, above 0 and at most 1.
        force: keep an index that does not pay: one that misses the recall, or is slower for one
            user than ranking the whole catalogue.
        seed: random seed of the sample or of the made-up histories.
        progress: called with one line of text per step.

    Raises:
        SettingsError: k or recall is out of range, the model's scores are not inner products, or
            the index does not pay.
        DataError: no history has an item that the bundle knows.
        MissingExtraError: faiss is not installed.

    Examples:
        >>> index = nf.build_index(bundle, split.test.fold_in.x, k=5, force=True)
        >>> index.metadata["measured_on"]
        '10 histories that were given'
    """
    check_bundle(bundle)
    model, report = bundle.model, progress or (lambda line: None)
    check_can_index(model, k, recall)
    k = min(k, model.n_items)
    origin = MADE_UP if histories is None else FROM_FILE
    sample = _make_histories(model, seed) if histories is None else _draw_histories(histories, seed)
    report(f"building the graph of {model.n_items:,} items")
    started = time.perf_counter()
    graph = build_graph(model)
    metadata: dict[str, Any] = {
        "built_for": {
            "algorithm": bundle.metadata.algorithm, "created": bundle.metadata.created,
            "n_items": model.n_items,
        },
        "graph": {"neighbours": N_NEIGHBOURS, "build_effort": BUILD_EFFORT, "seed": seed},
        "measured_on": f"{sample.shape[0]} {origin}",
        "build_seconds": time.perf_counter() - started,
    }  # fmt: skip
    index = ItemIndex(model, graph, k, min(k + MARGIN, model.n_items), fingerprint(model), metadata)
    report(f"ranking {sample.shape[0]} histories exactly")
    exact = model.top_k(sample, k)
    index = _raise_effort(index, exact, sample, recall, report, force=force)
    metadata["milliseconds"] = {
        name: milliseconds(index, sample, size)
        for name, size in (("one user", 1), (f"{BATCH_USERS} users", BATCH_USERS))
    }
    times = metadata["milliseconds"]["one user"]
    if not force and metadata["recall"]["low"] < recall:
        raise SettingsError(
            f"an index does not pay here: {format_recall(index)} is reached at an effort of "
            f"{index.effort:,}, which takes {times['index']:.2f} ms per user, and ranking all "
            f"{model.n_items:,} items exactly {times['exact']:.2f} ms; {INSTEAD}"
        )
    if not force and times["index"] >= times["exact"]:
        raise SettingsError(
            f"an index does not pay here: {format_recall(index)} takes {times['index']:.2f} ms per "
            f"user, and ranking all {model.n_items:,} items exactly {times['exact']:.2f} ms; "
            f"{INSTEAD}"
        )
    return index


def check_can_index(model: Model, k: int, recall: float) -> None:
    """Check that a model can have an index, and what is asked of it.

    Raises:
        SettingsError: k or recall is out of range, or the model's scores are not inner products.
        MissingExtraError: faiss is not installed.
    """
    if not 0 < recall <= 1:
        raise SettingsError(f"recall is {recall}; it must be above 0 and at most 1, as 0.99")
    if k < 1:
        raise SettingsError(f"k is {k}; it must be at least 1")
    require_inner_products(model)
    require_faiss()


def format_recall(index: ItemIndex) -> str:
    """Return the measured recall of an index and its interval as text."""
    recall = index.metadata["recall"]
    return f"recall@{index.k} of {recall['mean']:.4f} ({recall['low']:.4f} to {recall['high']:.4f})"


def _raise_effort(
    index: ItemIndex,
    exact: Ranking,
    sample: csr_array,
    recall: float,
    report: Callable[[str], None],
    *,
    force: bool,
) -> ItemIndex:
    """Return the index at the smallest effort tried that reaches the recall.

    If no effort does, return the one with the largest effort, or without `force` the first that is
    slower than ranking all items.
    """
    while True:
        ranking, is_exact = index.top_k(sample, index.k)
        if is_exact.all():
            raise SettingsError(
                f"an index does not pay here: all {sample.shape[0]} histories have more than "
                f"{index.most_excluded:,} items, and would be ranked exactly"
            )
        user_recalls = recalls(ranking, exact)[~is_exact]
        interval = mean_interval(user_recalls)
        mean = float(user_recalls.mean())
        low, high = (mean, mean) if interval is None else (interval.low, min(1.0, interval.high))
        index.metadata["recall"] = {
            "asked": recall, "mean": mean, "low": float(low), "high": float(high),
            "n_histories": len(user_recalls),
        }  # fmt: skip
        report(f"effort {index.effort:,}: {format_recall(index)}")
        if low >= recall or index.effort >= index.model.n_items:
            return index
        if not force:
            times = milliseconds(index, sample, 1)
            if times["index"] > times["exact"]:
                return index
        effort = min(index.model.n_items, int(index.effort * GROWTH))
        index = replace(index, effort=effort)


def recalls(ranking: Ranking, exact: Ranking) -> Float64[np.ndarray, " users"]:
    """Return for each user the share of the exact ranking's items that a ranking contains."""
    shares = [
        np.isin(best[best >= 0], items).mean() if (best >= 0).any() else 1.0
        for items, best in zip(ranking.items, exact.items, strict=True)
    ]
    return np.array(shares, np.float64)


def milliseconds(index: ItemIndex, histories: csr_array, n_users: int) -> dict[str, float]:
    """Return the milliseconds per user with the index and without, the least of several calls.

    The least is taken because other work on the machine can only make a call slower.

    Args:
        index: the index; its model ranks exactly.
        histories: users x items, from which batches are taken in order.
        n_users: users per batch.
    """
    ways: dict[str, Callable[[csr_array, int], Any]] = {
        "exact": index.model.top_k, "index": index.top_k
    }  # fmt: skip
    least = dict.fromkeys(ways, np.inf)
    for number in range(max(MIN_TIMED, N_TIMED // n_users)):
        rows = np.arange(number * n_users, (number + 1) * n_users) % histories.shape[0]
        batch = histories[rows]
        for way, rank in ways.items():  # alternate, so that other work slows both down
            started = time.perf_counter()
            rank(batch, index.k)
            elapsed = 1000 * (time.perf_counter() - started) / n_users
            least[way] = min(least[way], elapsed)
    return least


def _draw_histories(histories: csr_array, seed: int) -> csr_array:
    """Draw at most `N_HISTORIES` of the histories that are not empty."""
    histories = canonical(histories)
    rows = np.flatnonzero(np.diff(histories.indptr))
    if not len(rows):
        raise DataError(
            "no history has an item that the bundle knows, so recall cannot be measured; give "
            "histories of this bundle's items"
        )
    n = min(N_HISTORIES, len(rows))
    return histories[np.sort(generator(seed, "histories").choice(rows, n, replace=False))]


def _make_histories(model: Model, seed: int) -> csr_array:
    """Make histories about as long as the training users', of items drawn by popularity."""
    rng = generator(seed, "histories")
    weights = model.popularity + (0 if model.popularity.any() else 1)
    mean = weights.sum() / max(1, model.n_train_users)
    longest = max(1, min(MAX_LENGTH, model.n_items // 2))
    lengths = np.clip(1 + rng.poisson(max(0.0, mean - 1), N_HISTORIES), 1, longest)
    items = rng.choice(model.n_items, lengths.sum(), p=weights / weights.sum())
    rows = np.repeat(np.arange(N_HISTORIES), lengths)
    data = np.ones(len(rows), np.float32)
    return canonical(csr_array((data, (rows, items)), shape=(N_HISTORIES, model.n_items)))
