"""Generate implicit feedback of any size, with popularity, activity and tastes as in real logs.

Memory grows with the number of interactions, and there is no loop over users.
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
    """Generate interactions with integer ids from 0.

    Args:
        shape: "ml-1m", "ml-20m", "msd", "netflix", "USERSxITEMSxINTERACTIONS", any of them with
            settings ("ml-1m,clusters=40"), or all settings as `Synthetic`.
        seed: replaces the seed of `shape`.

    First every user's number of items is drawn. Then pairs are drawn, and repeated pairs are
    replaced, until each user has that number; users who have most items of their clusters get
    others of the catalogue. Last, each item without a user replaces a random interaction of an item
    that has others.

    Raises:
        SettingsError: no such data exist. UnknownNameError is a subclass.

    Examples:
        >>> nf.synthetic_interactions("50x20x400", seed=3)
        Interactions(50 users, 20 items, 400 interactions)
    """
    shape = Synthetic.parse(shape) if isinstance(shape, str) else shape
    shape = shape if seed is None else replace(shape, seed=seed)
    starts, items = _draw(shape)
    x = csr_array(
        (np.ones(len(items), np.float32), items, starts), shape=(shape.users, shape.items)
    )
    x.sort_indices()
    return Interactions(x, _numbers(shape.users), _numbers(shape.items))


def synthetic_log(shape: Synthetic, name: str = "synthetic") -> Log:
    """Generate the same interactions as a log with timestamps, sorted by user.

    A user joins at a random time in the first quarter of 2024, more likely early. The user's events
    are uniform from then to its end; times do not depend on items.
    """
    x = synthetic_interactions(shape).x
    counts = np.diff(x.indptr)
    times = np.empty(x.nnz, np.int64)
    first, last = WINDOW
    rng = generator(shape.seed, "synthetic", "time")
    joined = first + (last - first) * rng.random(shape.users) ** 2
    for users, events in _blocks(x.indptr):
        since = np.repeat(joined[users], counts[users])
        times[events] = since + (last - since) * rng.random(len(since))
    events = pl.DataFrame(
        {
            "user": np.repeat(np.arange(shape.users, dtype=np.uint32), counts),
            "item": x.indices.astype(np.uint32),
            "timestamp": times,
        }
    )
    return compacted(Log(events, _numbers(shape.users), _numbers(shape.items), name))


def _numbers(n: int) -> Vocabulary:
    return Vocabulary(pl.int_range(n, eager=True))


def _draw(shape: Synthetic) -> tuple[np.ndarray, np.ndarray]:
    """Return `indptr` and `indices` (int32) of a CSR matrix whose indices are not sorted."""
    counts = _activity(shape)
    starts = np.zeros(shape.users + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    catalogue = _Catalogue(shape)
    items = np.empty(shape.interactions, np.int32)
    for number, (users, events) in enumerate(_blocks(starts)):
        rng = generator(shape.seed, "synthetic", "items", number)
        items[events] = _distinct(catalogue, counts[users], rng)
    _cover_all_items(items, shape)
    return starts, items


def _blocks(starts: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Yield slices of users and of their events, about `BLOCK_EVENTS` events each."""
    marks = np.arange(0, starts[-1], BLOCK_EVENTS)
    cuts = np.unique(np.r_[np.searchsorted(starts, marks), len(starts) - 1]).tolist()
    for low, high in pairwise(cuts):
        yield slice(low, high), slice(starts[low], starts[high])


def _activity(shape: Synthetic) -> np.ndarray:
    """Draw the number of items per user (int64): log-normal, scaled to the exact sum."""
    rng = generator(shape.seed, "synthetic", "activity")
    weights = np.exp(shape.spread * rng.standard_normal(shape.users))
    low, high = 0.0, shape.max_user / weights.min()
    for _ in range(100):  # the sum grows with the scale
        scale = (low + high) / 2
        total = np.clip(scale * weights, shape.min_user, shape.max_user).sum()
        low, high = (scale, high) if total <= shape.interactions else (low, scale)
    exact = np.clip(low * weights, shape.min_user, shape.max_user)
    counts = exact.astype(np.int64)
    room = np.flatnonzero(counts < shape.max_user)
    left = shape.interactions - int(counts.sum())
    nearest = np.argsort((counts - exact)[room], kind="stable")[:left]
    counts[room[nearest]] += 1
    return counts


class _Catalogue:
    """Items sorted by cluster, to draw from clusters by popularity.

    Users choose clusters in proportion to their popularity, so that the tastes of many users add up
    to the popularity of all items.
    """

    def __init__(self, shape: Synthetic) -> None:
        rng = generator(shape.seed, "synthetic", "catalogue")
        self.shape = shape
        n, k = shape.items, shape.n_clusters
        rank = rng.permutation(n)
        popularity = (rank + 1 + shape.head * n) ** -shape.exponent
        sizes = rng.gamma(4.0, size=k)
        cluster = rng.choice(k, size=n, p=sizes / sizes.sum())
        self.order = np.argsort(cluster, kind="stable").astype(np.int32)
        self.edges = np.zeros(n + 1)
        np.cumsum(popularity[self.order], out=self.edges[1:])
        self.bounds = np.r_[0, np.cumsum(np.bincount(cluster, minlength=k))]
        self.chances = np.cumsum(np.diff(self.edges[self.bounds]))

    def tastes(self, n_users: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw each user's clusters (users x tastes), and cumulated shares of all but the last."""
        shape = (n_users, self.shape.tastes)
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
        """Draw one item (int32) for each user position in `who`, by that user's tastes."""
        clusters, shares = tastes
        slot = (rng.random(len(who), np.float32)[:, None] >= shares[who]).sum(axis=1)
        cluster = clusters[who, slot]
        low, high = self.bounds[cluster], self.bounds[cluster + 1]
        broad = rng.random(len(who), np.float32) < breadth
        low[broad], high[broad] = 0, self.shape.items
        floor = self.edges[low]
        at = floor + rng.random(len(who)) * (self.edges[high] - floor)
        position = np.searchsorted(self.edges, at, side="right") - 1
        return self.order[np.clip(position, low, high - 1)]  # sums are rounded at their ends


def _distinct(catalogue: _Catalogue, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw `counts[u]` distinct items (int32) for each user, in the order of users."""
    n = catalogue.shape.items
    tastes = catalogue.tastes(len(counts), rng)
    missing, held, whole = counts, np.empty(0, np.int64), []
    for number in count():
        who = np.repeat(np.arange(len(counts)), missing)
        if number < TASTE_ROUNDS:
            wider = number / TASTE_ROUNDS * (1 - catalogue.shape.breadth)
            items = catalogue.draw(who, tastes, catalogue.shape.breadth + wider, rng)
        else:  # a quarter of the catalogue is free at least, so that this ends
            items = rng.integers(n, size=len(who))
        keys = np.sort(np.concatenate([held, who * n + items]))
        keys = keys[np.r_[True, keys[1:] != keys[:-1]]]
        user = keys // n
        n_items = np.bincount(user, minlength=len(counts))
        missing = np.where(missing > 0, counts - n_items, 0)
        unfinished = missing[user] > 0
        whole.append(keys[~unfinished])
        held = keys[unfinished]
        if not len(held):
            break
    return (np.sort(np.concatenate(whole)) % n).astype(np.int32)


def _cover_all_items(items: np.ndarray, shape: Synthetic) -> None:
    """Replace interactions of items that have others by items without an interaction."""
    uncovered = np.flatnonzero(np.bincount(items, minlength=shape.items) == 0)
    if not len(uncovered):
        return
    kept = np.full(shape.items, -1, np.int64)
    kept[items] = np.arange(len(items))
    free = np.ones(len(items), bool)
    free[kept[kept >= 0]] = False
    rng = generator(shape.seed, "synthetic", "unmet")
    items[rng.choice(np.flatnonzero(free), len(uncovered), replace=False, shuffle=False)] = (
        uncovered
    )
