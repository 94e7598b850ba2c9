"""Implicit feedback that is made up: popularity, activity and tastes as in real logs, any size.

Memory is of the order of the interactions, and there is no loop over users.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, pairwise

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from nearfar.core.seeding import generator
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import Log, compacted
from nearfar.data.interactions import Interactions
from nearfar.data.shapes import Synthetic

BLOCK_EVENTS = 1 << 20
TASTE_ROUNDS = 10
WINDOW = (1_704_067_200, 1_711_929_600)  # the first three months of 2024


def synthetic_interactions(shape: str | Synthetic, *, seed: int | None = None) -> Interactions:
    """Made-up interactions with integer ids, users and items counted from 0.

    Args:
        shape: "ml-1m", "ml-20m", "msd", "netflix", "USERSxITEMSxINTERACTIONS", any of them with
            settings ("ml-1m,clusters=40"), or all settings as `Synthetic`.
        seed: in place of the seed of `shape`.

    Every user's number of items is drawn first. Then pairs are drawn, repeated ones thrown away
    and drawn anew, until each user has as many as drawn; a user whose clusters are nearly used
    up turns to the rest of the catalogue. Last, each item that no user chose takes the place of a
    random interaction of an item that has others.

    Raises:
        SettingsError: no data can be so; UnknownNameError is a kind of it.

    Examples:
        >>> nf.synthetic_interactions("50x20x400", seed=3)
        Interactions(50 users, 20 items, 400 interactions)
    """
    wanted = Synthetic.parse(shape) if isinstance(shape, str) else shape
    wanted = wanted if seed is None else replace(wanted, seed=seed)
    starts, items = _draw(wanted)
    x = csr_array(
        (np.ones(len(items), np.float32), items, starts), shape=(wanted.users, wanted.items)
    )
    x.sort_indices()
    return Interactions(x, _numbers(wanted.users), _numbers(wanted.items))


def synthetic_log(wanted: Synthetic, name: str = "synthetic") -> Log:
    """The same interactions as a log, users one after another, with timestamps.

    A user joins at a moment of the first quarter of 2024, early ones likelier, and their events
    are spread evenly from then to its end; time tells nothing about items.
    """
    x = synthetic_interactions(wanted).x
    counts = np.diff(x.indptr)
    times = np.empty(x.nnz, np.int64)
    first, last = WINDOW
    rng = generator(wanted.seed, "synthetic", "time")
    joined = first + (last - first) * rng.random(wanted.users) ** 2
    for users, events in _blocks(x.indptr):
        since = np.repeat(joined[users], counts[users])
        times[events] = since + (last - since) * rng.random(len(since))
    events = pl.DataFrame(
        {
            "user": np.repeat(np.arange(wanted.users, dtype=np.uint32), counts),
            "item": x.indices.astype(np.uint32),
            "timestamp": times,
        }
    )
    return compacted(Log(events, _numbers(wanted.users), _numbers(wanted.items), name))


def _numbers(n: int) -> Vocabulary:
    return Vocabulary(pl.int_range(n, eager=True))


def _draw(wanted: Synthetic) -> tuple[np.ndarray, np.ndarray]:
    """The start of each user's items, and the items (int32), as CSR has them but unsorted."""
    counts = _activity(wanted)
    starts = np.zeros(wanted.users + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    catalogue = _Catalogue(wanted)
    items = np.empty(wanted.interactions, np.int32)
    for number, (users, events) in enumerate(_blocks(starts)):
        rng = generator(wanted.seed, "synthetic", "items", number)
        items[events] = _distinct(catalogue, counts[users], rng)
    _meet_all(items, wanted)
    return starts, items


def _blocks(starts: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Users, and their events, in blocks of about `BLOCK_EVENTS` events."""
    marks = np.arange(0, starts[-1], BLOCK_EVENTS)
    cuts = np.unique(np.r_[np.searchsorted(starts, marks), len(starts) - 1]).tolist()
    for low, high in pairwise(cuts):
        yield slice(low, high), slice(starts[low], starts[high])


def _activity(wanted: Synthetic) -> np.ndarray:
    """How many items each user meets (int64): log-normal, scaled and clipped to the exact sum."""
    rng = generator(wanted.seed, "synthetic", "activity")
    weights = np.exp(wanted.spread * rng.standard_normal(wanted.users))
    low, high = 0.0, wanted.max_user / weights.min()
    for _ in range(100):  # the sum grows with the scale
        scale = (low + high) / 2
        total = np.clip(scale * weights, wanted.min_user, wanted.max_user).sum()
        low, high = (scale, high) if total <= wanted.interactions else (low, scale)
    exact = np.clip(low * weights, wanted.min_user, wanted.max_user)
    counts = exact.astype(np.int64)
    room = np.flatnonzero(counts < wanted.max_user)
    left = wanted.interactions - int(counts.sum())
    nearest = np.argsort((counts - exact)[room], kind="stable")[:left]
    counts[room[nearest]] += 1
    return counts


class _Catalogue:
    """Items in the order of their clusters, drawn by popularity from a part of that order.

    Users choose clusters in proportion to the popularity of these, so that the tastes of many
    add up to the popularity of all items.
    """

    def __init__(self, wanted: Synthetic) -> None:
        rng = generator(wanted.seed, "synthetic", "catalogue")
        self.wanted = wanted
        n, k = wanted.items, wanted.n_clusters
        rank = rng.permutation(n)
        popularity = (rank + 1 + wanted.head * n) ** -wanted.exponent
        sizes = rng.gamma(4.0, size=k)
        cluster = rng.choice(k, size=n, p=sizes / sizes.sum())
        self.order = np.argsort(cluster, kind="stable").astype(np.int32)
        self.edges = np.zeros(n + 1)
        np.cumsum(popularity[self.order], out=self.edges[1:])
        self.bounds = np.r_[0, np.cumsum(np.bincount(cluster, minlength=k))]
        self.chances = np.cumsum(np.diff(self.edges[self.bounds]))

    def tastes(self, n_users: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Per user: clusters (users, tastes), and the cumulated shares of all but the last."""
        shape = (n_users, self.wanted.tastes)
        drawn = np.searchsorted(self.chances, rng.random(shape) * self.chances[-1], side="right")
        shares = rng.standard_exponential(shape, np.float32)
        shares /= shares.sum(axis=1, keepdims=True)
        return np.minimum(drawn, len(self.chances) - 1), np.cumsum(shares, axis=1)[:, :-1]

    def draw(
        self,
        who: np.ndarray,
        tastes: tuple[np.ndarray, np.ndarray],
        breadth: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """An item (int32) for each position in `tastes` that `who` lists."""
        clusters, shares = tastes
        slot = (rng.random(len(who), np.float32)[:, None] >= shares[who]).sum(axis=1)
        cluster = clusters[who, slot]
        low, high = self.bounds[cluster], self.bounds[cluster + 1]
        broad = rng.random(len(who), np.float32) < breadth
        low[broad], high[broad] = 0, self.wanted.items
        floor = self.edges[low]
        at = floor + rng.random(len(who)) * (self.edges[high] - floor)
        position = np.searchsorted(self.edges, at, side="right") - 1
        return self.order[np.clip(position, low, high - 1)]  # sums are rounded at their ends


def _distinct(catalogue: _Catalogue, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`counts[u]` distinct items (int32) for each user, user after user."""
    n = catalogue.wanted.items
    tastes = catalogue.tastes(len(counts), rng)
    missing, held, whole = counts, np.empty(0, np.int64), []
    for number in count():
        who = np.repeat(np.arange(len(counts)), missing)
        if number < TASTE_ROUNDS:
            wider = number / TASTE_ROUNDS * (1 - catalogue.wanted.breadth)
            items = catalogue.draw(who, tastes, catalogue.wanted.breadth + wider, rng)
        else:  # a quarter of the catalogue is free at least, so that this ends
            items = rng.integers(n, size=len(who))
        keys = np.sort(np.concatenate([held, who * n + items]))
        keys = keys[np.r_[True, keys[1:] != keys[:-1]]]
        user = keys // n
        met = np.bincount(user, minlength=len(counts))
        missing = np.where(missing > 0, counts - met, 0)
        unfinished = missing[user] > 0
        whole.append(keys[~unfinished])
        held = keys[unfinished]
        if not len(held):
            break
    return (np.sort(np.concatenate(whole)) % n).astype(np.int32)


def _meet_all(items: np.ndarray, wanted: Synthetic) -> None:
    """Give every item without an interaction the place of one that others have too."""
    unmet = np.flatnonzero(np.bincount(items, minlength=wanted.items) == 0)
    if not len(unmet):
        return
    kept = np.full(wanted.items, -1, np.int64)
    kept[items] = np.arange(len(items))
    free = np.ones(len(items), bool)
    free[kept[kept >= 0]] = False
    rng = generator(wanted.seed, "synthetic", "unmet")
    items[rng.choice(np.flatnonzero(free), len(unmet), replace=False, shuffle=False)] = unmet
