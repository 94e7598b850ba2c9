"""Building an index: how much effort the asked recall takes, and whether it pays, are measured."""

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
    fingerprint,
    make_graph,
    products_of,
    require_faiss,
)
from nearfar.bundle.item_index import MARGIN, ItemIndex
from nearfar.core.arguments import told_in_words
from nearfar.core.errors import DataError, SettingsError
from nearfar.core.ranking import Ranking
from nearfar.core.seeding import generator
from nearfar.data.interactions import canonical
from nearfar.evaluation.intervals import mean_interval
from nearfar.models.model import Model

N_HISTORIES = 500
"""Histories that recall is measured on: the interval of a recall of .99 is then about .003 wide."""

MAX_LENGTH = 200
"""Items of a made-up history."""

N_TIMED, MIN_TIMED = 30, 3
"""Users, and batches, that are timed."""

BATCH_USERS = 32
"""Users of a batch that is timed, as many as `nearfar serve` scores at once."""

GROWTH = 1.5
"""Of the effort from one try to the next."""

INSTEAD = "recommend without an index, or ask for less recall (--recall)"
FROM_FILE = "histories that were given"
MADE_UP = "histories made up of items drawn by popularity"


@told_in_words()
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
    """Build an index of a bundle's items that finds as many of the best items as asked.

    The effort of a search is raised until the 95 % interval of recall@k lies above `recall`. Recall
    is the share of the exact best k, items of the history left out, that are in the index's k.
    `about` of the result holds "recall" (mean, low, high), "milliseconds" per user of both ways,
    for one user and for 32 at once, "measured_on" and "build_seconds".

    Args:
        bundle: of an autoencoder or a factor model.
        histories: users x items, that recall is measured on, at most 500 of them drawn; by default
            histories are made up of items drawn by popularity.
        k: the longest list that the index is for; longer ones are ranked exactly.
        recall: that is asked for.
        force: keep an index that does not pay: that misses the recall, or is slower than ranking
            the whole catalogue for one user.
        seed: of what is drawn.
        progress: called with a line for every step.

    Raises:
        SettingsError: k or recall is out of range, scores of the model are no inner products, or
            the index does not pay.
        DataError: no history has an item that the bundle knows.
        MissingExtraError: faiss is not installed.

    Examples:
        >>> index = nf.build_index(bundle, split.test.fold_in.x, k=5, force=True)
        >>> index.about["measured_on"]
        '10 histories that were given'
    """
    check_bundle(bundle)
    model, tell = bundle.model, progress or (lambda line: None)
    if not 0 < recall <= 1:
        raise SettingsError(f"recall is {recall}; it must be above 0 and at most 1, as 0.99")
    if k < 1:
        raise SettingsError(f"k is {k}; it must be at least 1")
    products_of(model)
    require_faiss()
    k = min(k, model.n_items)
    source = MADE_UP if histories is None else FROM_FILE
    probes = _made_up(model, seed) if histories is None else _drawn(histories, seed)
    tell(f"building the graph of {model.n_items:,} items")
    started = time.perf_counter()
    graph = make_graph(model)
    about: dict[str, Any] = {
        "built_for": {
            "algorithm": bundle.about.algorithm, "created": bundle.about.created,
            "n_items": model.n_items,
        },
        "graph": {"neighbours": N_NEIGHBOURS, "build_effort": BUILD_EFFORT, "seed": seed},
        "measured_on": f"{probes.shape[0]} {source}",
        "build_seconds": time.perf_counter() - started,
    }  # fmt: skip
    index = ItemIndex(model, graph, k, min(k + MARGIN, model.n_items), fingerprint(model), about)
    tell(f"ranking {probes.shape[0]} histories exactly")
    exact = model.top_k(probes, k)
    index = _raised(index, exact, probes, recall, tell, force=force)
    about["milliseconds"] = {
        name: milliseconds(index, probes, size)
        for name, size in (("one user", 1), (f"{BATCH_USERS} users", BATCH_USERS))
    }
    one = about["milliseconds"]["one user"]
    if not force and about["recall"]["low"] < recall:
        raise SettingsError(
            f"an index does not pay here: {told_recall(index)} is reached at an effort of "
            f"{index.effort:,}, which takes {one['index']:.2f} ms per user, and ranking all "
            f"{model.n_items:,} items exactly {one['exact']:.2f} ms; {INSTEAD}"
        )
    if not force and one["index"] >= one["exact"]:
        raise SettingsError(
            f"an index does not pay here: {told_recall(index)} takes {one['index']:.2f} ms per "
            f"user, and ranking all {model.n_items:,} items exactly {one['exact']:.2f} ms; "
            f"{INSTEAD}"
        )
    return index


def told_recall(index: ItemIndex) -> str:
    """Return the recall of an index with its interval, in words."""
    found = index.about["recall"]
    return f"recall@{index.k} of {found['mean']:.4f} ({found['low']:.4f} to {found['high']:.4f})"


def _raised(
    index: ItemIndex,
    exact: Ranking,
    probes: csr_array,
    recall: float,
    tell: Callable[[str], None],
    *,
    force: bool,
) -> ItemIndex:
    """The index with the least effort tried whose recall is as asked.

    Where none is, that of the largest effort, or without `force` the first that is slower than
    ranking all items.
    """
    while True:
        found, exactly = index.top_k(probes, index.k)
        if exactly.all():
            raise SettingsError(
                f"an index does not pay here: all {probes.shape[0]} histories have more than "
                f"{index.most_excluded:,} items, and would be ranked exactly"
            )
        shares = recalls(found, exact)[~exactly]
        interval = mean_interval(shares)
        mean = float(shares.mean())
        low, high = (mean, mean) if interval is None else (interval.low, min(1.0, interval.high))
        index.about["recall"] = {
            "asked": recall, "mean": mean, "low": float(low), "high": float(high),
            "n_histories": len(shares),
        }  # fmt: skip
        tell(f"effort {index.effort:,}: {told_recall(index)}")
        if low >= recall or index.effort >= index.model.n_items:
            return index
        if not force:
            times = milliseconds(index, probes, 1)
            if times["index"] > times["exact"]:
                return index
        effort = min(index.model.n_items, int(index.effort * GROWTH))
        index = replace(index, effort=effort)


def recalls(found: Ranking, exact: Ranking) -> Float64[np.ndarray, " users"]:
    """Return for each user which share of the exact ranking's items is among those found."""
    shares = [
        np.isin(best[best >= 0], items).mean() if (best >= 0).any() else 1.0
        for items, best in zip(found.items, exact.items, strict=True)
    ]
    return np.array(shares, np.float64)


def milliseconds(index: ItemIndex, histories: csr_array, n_users: int) -> dict[str, float]:
    """Return the milliseconds per user that both ways take, the least of several calls.

    Other work on the machine only adds to what a call takes.

    Args:
        index: and its model.
        histories: of which batches are made.
        n_users: of a batch.
    """
    ways: dict[str, Callable[[csr_array, int], Any]] = {
        "exact": index.model.top_k, "index": index.top_k
    }  # fmt: skip
    least = dict.fromkeys(ways, np.inf)
    for number in range(max(MIN_TIMED, N_TIMED // n_users)):
        rows = np.arange(number * n_users, (number + 1) * n_users) % histories.shape[0]
        batch = histories[rows]
        for way, rank in ways.items():  # in turn, so that other work concerns both
            started = time.perf_counter()
            rank(batch, index.k)
            taken = 1000 * (time.perf_counter() - started) / n_users
            least[way] = min(least[way], taken)
    return least


def _drawn(histories: csr_array, seed: int) -> csr_array:
    """At most `N_HISTORIES` of the histories that are not empty."""
    histories = canonical(histories)
    able = np.flatnonzero(np.diff(histories.indptr))
    if not len(able):
        raise DataError(
            "no history has an item that the bundle knows; recall cannot be measured on them"
        )
    n = min(N_HISTORIES, len(able))
    return histories[np.sort(generator(seed, "histories").choice(able, n, replace=False))]


def _made_up(model: Model, seed: int) -> csr_array:
    """Histories of as many items as training users have, drawn by popularity."""
    rng = generator(seed, "histories")
    weights = model.popularity + (0 if model.popularity.any() else 1)
    mean = weights.sum() / max(1, model.n_train_users)
    most = max(1, min(MAX_LENGTH, model.n_items // 2))
    lengths = np.clip(1 + rng.poisson(max(0.0, mean - 1), N_HISTORIES), 1, most)
    items = rng.choice(model.n_items, lengths.sum(), p=weights / weights.sum())
    rows = np.repeat(np.arange(N_HISTORIES), lengths)
    data = np.ones(len(rows), np.float32)
    return canonical(csr_array((data, (rows, items)), shape=(N_HISTORIES, model.n_items)))
