"""Filters: which events of a log are kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from nearfar.core.errors import EmptyDataError, SchemaError, SettingsError, UnknownNameError
from nearfar.core.settings import Settings
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import FilterStep, Log
from nearfar.data.weighting import united
from nearfar.tables.clock import epoch_seconds
from nearfar.tables.columns import OPTIONS


@dataclass(frozen=True)
class Filters(Settings):
    """What to keep, in the order in which it is applied.

    Time window, rating and weight, then repeated events merged into their first, then users with
    too many items left out, then items with enough users, then users with enough items: the last
    two once, in the order of the reference protocol, or with `fixed_point` until both hold at once
    (the k-core).

    Attributes:
        min_rating: keep ratings of at least this.
        min_weight: keep weights (plays, clicks, quantities) of at least this. A weight of 0 is no
            event, a negative one a return; both are left out in any case.
        min_user: keep users with at least this many items.
        max_user: keep users with at most this many items, to leave robots out; None for all.
        min_item: keep items with at least this many users.
        fixed_point: repeat the last two until nothing changes.
        since, until: keep [since, until): seconds since 1970, or an ISO date ("2024-05-01",
            taken as UTC where it names no zone).
        merge_duplicates: of events with one user and item, keep the first.

    Raises:
        SettingsError: a value has the wrong type, a bound is negative, a date is not valid, or the
            window is empty.

    Examples:
        >>> nf.Filters(min_user=12).apply(log).n_users
        26
        >>> nf.read_log("synthetic:50x20x400", filters=nf.Filters(since="2024-03-01")).n_events
        214
    """

    min_rating: float | None = None
    min_user: int = 0
    min_item: int = 0
    fixed_point: bool = False
    since: int | str | None = None
    until: int | str | None = None
    merge_duplicates: bool = True
    min_weight: float | None = None
    max_user: int | None = None

    def check_together(self) -> None:
        if self.min_user < 0 or self.min_item < 0:
            raise SettingsError(
                f"min_user {self.min_user} and min_item {self.min_item} must be at least 0"
            )
        if self.max_user is not None and self.max_user < max(self.min_user, 1):
            raise SettingsError(
                f"max_user is {self.max_user}; it must be at least 1 and at least min_user, which "
                f"is {self.min_user}"
            )
        since, until = epoch_seconds(self.since), epoch_seconds(self.until)
        if since is not None and until is not None and since >= until:
            raise SettingsError(f"the window from {self.since} to {self.until} holds no time")

    @property
    def row_step(self) -> str:
        """The filters that look at one row alone, in words; empty where there are none."""
        parts = [] if self.since is None else [f"time >= {self.since}"]
        parts += [] if self.until is None else [f"time < {self.until}"]
        parts += [] if self.min_rating is None else [f"rating >= {self.min_rating:g}"]
        parts += [] if self.min_weight is None else [f"weight >= {self.min_weight:g}"]
        return ", ".join(parts)

    @property
    def beyond_rows(self) -> Filters:
        """These filters without those that look at one row alone."""
        return replace(self, min_rating=None, min_weight=None, since=None, until=None)

    @property
    def rows_only(self) -> Filters:
        """These filters without those that look at more than one row."""
        return replace(self, min_user=0, max_user=None, min_item=0, merge_duplicates=False)

    def apply(self, log: Log) -> Log:
        """The events kept; `steps` of the result tells what each filter dropped.

        Raises:
            EmptyDataError: nothing is left.
            SchemaError: the log lacks the column that a filter looks at.
        """
        log = _row_filtered(log, self)
        if self.merge_duplicates:
            log = merge_duplicates(log)
        if self.max_user is not None:
            mask = np.bincount(log.users, minlength=log.n_users) <= self.max_user
            log = _kept(log, mask[log.users], f"users with at most {self.max_user} items")
        if self.min_user > 1 or self.min_item > 1:
            log = frequent(log, self.min_user, self.min_item, fixed_point=self.fixed_point)
        if not log.n_events:
            told = "; ".join(map(str, log.steps)) or "there were none"
            raise EmptyDataError(f"{log.name}: no user is left after the filters: {told}")
        return log


HEAVY = ((0.01, 100), (0.1, 10))
"""Shares of all events, and how many times the median user's, from which a user is heavy."""


def remark_on_robots(users: Vocabulary, counts: np.ndarray) -> str | None:
    """A remark on users with so many events that they may be robots; None where there are none.

    Such a user has a hundredth of all events or more, and a hundred times the median user's; or a
    tenth of all events, and ten times the median user's.

    Args:
        users: their ids.
        counts: events of each of them.
    """
    if not len(counts):
        return None
    total, median = counts.sum(), float(np.median(counts))
    limit = min(max(share * total, times * median) for share, times in HEAVY)
    heavy = np.flatnonzero(counts >= limit)
    if not len(heavy):
        return None
    heavy = heavy[np.argsort(-counts[heavy], kind="stable")]
    named = ", ".join(str(users.ids[int(at)]) for at in heavy[:3])
    more = f" and {len(heavy) - 3} more" if len(heavy) > 3 else ""
    share = counts[heavy].sum() / counts.sum()
    who = "1 user has" if len(heavy) == 1 else f"{len(heavy)} users have"
    return (
        f"{who} {share:.0%} of all events ({named}{more}); if these are robots, leave them out "
        "with --max-user (in settings: filters.max_user)"
    )


PRESETS = {
    "ml-20m": Filters(min_rating=4, min_user=5),
    "netflix": Filters(min_rating=4, min_user=5),
    "msd": Filters(min_item=200, min_user=20),
}


def preset(name: str) -> Filters:
    """The filters of the published protocol for a data set ("ml-20m", "netflix", "msd").

    Other MovieLens sets are filtered like ML-20M.

    Raises:
        UnknownNameError: there is no protocol for `name`.
    """
    key = name.lower().replace("_", "-")
    key = "ml-20m" if key.startswith("ml-") else key
    if key not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    return PRESETS[key]


def row_mask(events: pl.DataFrame, filters: Filters, name: str = "log") -> pl.Series | None:
    """Which events the filters that look at one row alone keep; None where there are none.

    Ratings and weights are compared as 32-bit floats, so that a rating of 4.1 is >= 4.1.

    Raises:
        SchemaError: the column that a filter looks at is missing.
    """
    tests = []
    since, until = epoch_seconds(filters.since), epoch_seconds(filters.until)
    if filters.min_rating is not None:
        tests.append(("rating", pl.col("rating") >= pl.lit(filters.min_rating, pl.Float32)))
    if filters.min_weight is not None:
        tests.append(("weight", pl.col("weight") >= pl.lit(filters.min_weight, pl.Float32)))
    if "weight" in events.columns:
        tests.append(("weight", pl.col("weight") > 0))
    if since is not None:
        tests.append(("timestamp", pl.col("timestamp") >= since))
    if until is not None:
        tests.append(("timestamp", pl.col("timestamp") < until))
    for column, _ in tests:
        if column not in events.columns:
            raise SchemaError(
                f"{name} has no {column} to filter on; name its column with {OPTIONS[column]}, "
                "or leave the filter out"
            )
    if not tests:
        return None
    return events.select(pl.all_horizontal(*(test for _, test in tests))).to_series()


def min_rating(log: Log, rating: float) -> Log:
    """The events with at least this rating."""
    return _row_filtered(log, Filters(min_rating=rating))


def time_window(log: Log, since: int | str | None = None, until: int | str | None = None) -> Log:
    """The events in [since, until), in seconds since 1970 or as ISO dates."""
    return _row_filtered(log, Filters(since=since, until=until))


def _row_filtered(log: Log, filters: Filters) -> Log:
    mask = row_mask(log.events, filters, log.name)
    if mask is None or (not filters.row_step and mask.all()):
        return log
    return _kept(log, mask, filters.row_step or "weight > 0")


def merge_duplicates(log: Log) -> Log:
    """Of events with the same user and item, the first of the log.

    Its weight becomes that of all of them where the log's weights are used, by its rule `repeats`.
    """
    pairs = log.users.astype(np.uint64) * np.uint64(log.n_items) + log.items_met
    ordered = np.sort(pairs)
    if not (ordered[1:] == ordered[:-1]).any():
        return log
    if log.weighted:
        keys, weights = united(pairs, log.events["weight"].to_numpy(), log.repeats)
        weight = pl.Series("weight", weights[np.searchsorted(keys, pairs)], dtype=pl.Float32)
        log = replace(log, events=log.events.with_columns(weight))
    return _kept(log, pl.Series(pairs).is_first_distinct(), "merging repeated events")


def frequent(log: Log, min_user: int, min_item: int, *, fixed_point: bool = False) -> Log:
    """The events of items with at least `min_item`, then of users with at least `min_user`.

    Each is counted once, items first, as the reference protocol does; with `fixed_point` again
    and again until nothing changes, which leaves the largest part of the log where both hold
    (the k-core, whatever the order). Counts are of events: merge repeated ones before.
    """
    if fixed_point:
        return _core(log, min_user, min_item)
    if min_item > 1:
        mask = np.bincount(log.items_met, minlength=log.n_items) >= min_item
        log = _kept(log, mask[log.items_met], f"items with at least {min_item} users")
    if min_user > 1:
        mask = np.bincount(log.users, minlength=log.n_users) >= min_user
        log = _kept(log, mask[log.users], f"users with at least {min_user} items")
    return log


def _core(log: Log, min_user: int, min_item: int) -> Log:
    kept = np.ones(log.n_events, bool)
    while True:
        before = np.count_nonzero(kept)
        items = np.bincount(log.items_met[kept], minlength=log.n_items) >= min_item
        kept &= items[log.items_met]
        users = np.bincount(log.users[kept], minlength=log.n_users) >= min_user
        kept &= users[log.users]
        if np.count_nonzero(kept) == before:
            break
    return _kept(log, kept, f"the core of {min_user} items per user and {min_item} users per item")


def _kept(log: Log, mask: np.ndarray | pl.Series, name: str) -> Log:
    kept = log.keep(mask)
    step = FilterStep(
        name,
        log.n_events - kept.n_events,
        log.n_users - kept.n_users,
        log.n_items - kept.n_items,
    )
    return replace(kept, steps=(*kept.steps, step))
