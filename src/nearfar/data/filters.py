"""Filter the events of a log by rating, weight, time and activity."""

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
from nearfar.tables.roles import OPTIONS


@dataclass(frozen=True)
class Filters(Settings):
    """The filters of a log.

    They are applied in this order: time window, rating and weight; merging of repeated events;
    users with too many items; items with too few users; users with too few items. The last two are
    applied once, in the order of the reference protocol, or with `fixed_point` until both hold (the
    k-core).

    Attributes:
        min_rating: keep ratings of at least this.
        min_weight: keep weights (plays, clicks, quantities) of at least this. Weights of 0 (no
            event) and below (a return) are always left out.
        min_user: keep users with at least this many items.
        max_user: keep users with at most this many items, to leave out robots; None for all.
        min_item: keep items with at least this many users.
        fixed_point: repeat the last two until nothing changes.
        since, until: keep [since, until): seconds since 1970, or an ISO date ("2024-05-01", in UTC
            by default).
        merge_duplicates: of events with the same user and item, keep the first.

    Raises:
        SettingsError: a value has the wrong type, a bound is negative, a date is invalid, or the
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
            raise SettingsError(f"since {self.since} is not before until {self.until}")

    @property
    def row_step(self) -> str:
        """The filters of single rows, for messages; empty for none."""
        parts = [] if self.since is None else [f"time >= {self.since}"]
        parts += [] if self.until is None else [f"time < {self.until}"]
        parts += [] if self.min_rating is None else [f"rating >= {self.min_rating:g}"]
        parts += [] if self.min_weight is None else [f"weight >= {self.min_weight:g}"]
        return ", ".join(parts)

    @property
    def beyond_rows(self) -> Filters:
        """These filters without the filters of single rows."""
        return replace(self, min_rating=None, min_weight=None, since=None, until=None)

    @property
    def rows_only(self) -> Filters:
        """Only the filters of single rows."""
        return replace(self, min_user=0, max_user=None, min_item=0, merge_duplicates=False)

    def apply(self, log: Log) -> Log:
        """Return the log of the kept events; its `steps` say what each filter dropped.

        Raises:
            EmptyDataError: no event is left.
            SchemaError: the log lacks the column of a filter.
        """
        log = _row_filtered(log, self)
        if self.merge_duplicates:
            log = merge_duplicates(log)
        if self.max_user is not None:
            mask = np.bincount(log.users, minlength=log.n_users) <= self.max_user
            log = _filtered(log, mask[log.users], f"users with at most {self.max_user} items")
        if self.min_user > 1 or self.min_item > 1:
            log = frequent(log, self.min_user, self.min_item, fixed_point=self.fixed_point)
        if not log.n_events:
            steps = "; ".join(map(str, log.steps)) or "the log had none"
            raise EmptyDataError(f"{log.name}: no user is left after the filters: {steps}")
        return log


HEAVY = ((0.01, 100), (0.1, 10))
"""Pairs of a share of all events and a multiple of the median user's events."""


def remark_on_robots(users: Vocabulary, counts: np.ndarray) -> str | None:
    """Return a remark on users with so many events that they may be robots; None for none.

    Such a user has at least a hundredth of all events and a hundred times the median user's events,
    or at least a tenth of all events and ten times the median user's.

    Args:
        users: the ids of the users.
        counts: the number of events per user.
    """
    if not len(counts):
        return None
    total, median = counts.sum(), float(np.median(counts))
    limit = min(max(share * total, times * median) for share, times in HEAVY)
    heavy = np.flatnonzero(counts >= limit)
    if not len(heavy):
        return None
    heavy = heavy[np.argsort(-counts[heavy], kind="stable")]
    examples = ", ".join(str(users.ids[int(at)]) for at in heavy[:3])
    more = f" and {len(heavy) - 3} more" if len(heavy) > 3 else ""
    share = counts[heavy].sum() / counts.sum()
    subject = "1 user has" if len(heavy) == 1 else f"{len(heavy)} users have"
    return (
        f"{subject} {share:.0%} of all events ({examples}{more}); if these are robots, leave "
        "them out with --max-user (in settings: filters.max_user)"
    )


PRESETS = {
    "ml-20m": Filters(min_rating=4, min_user=5),
    "netflix": Filters(min_rating=4, min_user=5),
    "msd": Filters(min_item=200, min_user=20),
}


def preset(name: str) -> Filters:
    """Return the filters of the published protocol of a data set ("ml-20m", "netflix", "msd").

    All MovieLens sets have the filters of ML-20M.

    Raises:
        UnknownNameError: the data set has no published protocol here.
    """
    key = name.lower().replace("_", "-")
    key = "ml-20m" if key.startswith("ml-") else key
    if key not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    return PRESETS[key]


def row_mask(events: pl.DataFrame, filters: Filters, name: str = "log") -> pl.Series | None:
    """Return a mask of the events that the filters of single rows keep; None for no filter.

    Ratings and weights are compared as 32-bit floats, so that a rating of 4.1 is >= 4.1.

    Raises:
        SchemaError: the column of a filter is missing.
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
    return _filtered(log, mask, filters.row_step or "weight > 0")


def merge_duplicates(log: Log) -> Log:
    """Keep the first of the events with the same user and item.

    If the log's weights are used, its weight combines the weights of all, by the rule `repeats`.
    """
    pairs = log.users.astype(np.uint64) * np.uint64(log.n_items) + log.item_positions
    ordered = np.sort(pairs)
    if not (ordered[1:] == ordered[:-1]).any():
        return log
    if log.weighted:
        keys, weights = united(pairs, log.events["weight"].to_numpy(), log.repeats)
        weight = pl.Series("weight", weights[np.searchsorted(keys, pairs)], dtype=pl.Float32)
        log = replace(log, events=log.events.with_columns(weight))
    return _filtered(log, pl.Series(pairs).is_first_distinct(), "merging repeated events")


def frequent(log: Log, min_user: int, min_item: int, *, fixed_point: bool = False) -> Log:
    """Keep items with at least `min_item` events, then users with at least `min_user` events.

    Both are applied once, items first, as in the reference protocol. With `fixed_point` they are
    repeated until nothing changes, which leaves the largest log where both hold (the k-core). Merge
    repeated events before, because events are counted.
    """
    if fixed_point:
        return _core(log, min_user, min_item)
    if min_item > 1:
        mask = np.bincount(log.item_positions, minlength=log.n_items) >= min_item
        log = _filtered(log, mask[log.item_positions], f"items with at least {min_item} users")
    if min_user > 1:
        mask = np.bincount(log.users, minlength=log.n_users) >= min_user
        log = _filtered(log, mask[log.users], f"users with at least {min_user} items")
    return log


def _core(log: Log, min_user: int, min_item: int) -> Log:
    mask = np.ones(log.n_events, bool)
    while True:
        n_before = np.count_nonzero(mask)
        items = np.bincount(log.item_positions[mask], minlength=log.n_items) >= min_item
        mask &= items[log.item_positions]
        users = np.bincount(log.users[mask], minlength=log.n_users) >= min_user
        mask &= users[log.users]
        if np.count_nonzero(mask) == n_before:
            break
    return _filtered(
        log, mask, f"the core of {min_user} items per user and {min_item} users per item"
    )


def _filtered(log: Log, mask: np.ndarray | pl.Series, name: str) -> Log:
    filtered = log.keep(mask)
    step = FilterStep(
        name,
        log.n_events - filtered.n_events,
        log.n_users - filtered.n_users,
        log.n_items - filtered.n_items,
    )
    return replace(filtered, steps=(*filtered.steps, step))
