"""Read the events of a window and split them for a weekly training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool
from scipy.sparse import csr_array

from nearfar.core.errors import EmptyDataError, SchemaError, SettingsError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import Log
from nearfar.data.filters import Filters, remark_on_robots
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.data.popularity_shift import shift_in_words
from nearfar.data.splits.hold_out import new_entries
from nearfar.data.weighting import Repeats, Scale
from nearfar.jobs.pipeline import Pipeline
from nearfar.jobs.registry import Registry
from nearfar.store.contracts import midnight
from nearfar.tables.report import ReadReport

SHARES = (0.05, 0.1, 0.2)
ENOUGH_HELD_OUT = 200
"""The number of held-out users with targets, half of them for the gates, that the first training
aims for: it takes the smallest of `SHARES` that yields so many."""


@dataclass(frozen=True, eq=False)
class TrainingWindow:
    """The data of a weekly training.

    Args:
        train: interactions of the users that are not held out, over the whole window.
        validation: half of the held-out users, for early stopping: their items of the last days
            are the targets, and those before the history. None without such users.
        test: the other half, for the gates; None without such users.
        n_events: number of events of the window, after filters.
        share: share of users held out.
    """

    train: Interactions
    validation: FoldIn | None
    test: FoldIn | None
    n_events: int
    share: float


def day_start(day: date) -> int:
    """Return the first second of a day in UTC, in seconds since 1970."""
    return int(midnight(day).timestamp())


def check_day(as_of: date, *, allow_future: bool, now: datetime | None = None) -> None:
    """Refuse a day after today (UTC): it would be served as the latest until that date has passed.

    Args:
        as_of: last day of events.
        allow_future: do not refuse the day.
        now: current time; by default this machine's clock.

    Raises:
        SettingsError: the day is after today.
    """
    today = (now or datetime.now(UTC)).date()
    if as_of > today and not allow_future:
        raise SettingsError(
            f"as_of is {as_of}, and today is {today} (UTC): a future day would be served as the "
            "latest until then; give an earlier day, or force it with --allow-future"
        )


def window_of(as_of: date, days: int) -> tuple[date, date]:
    """Return the first day of the window that ends with `as_of`, and the day after the last."""
    return as_of - timedelta(days=days - 1), as_of + timedelta(days=1)


def is_held_out(user_ids: Vocabulary, share: float, salt: str) -> Bool[np.ndarray, " users"]:
    """Return which users are held out: those whose salted hash, scaled to 0..1, is below `share`.

    A user's hash never changes, so that no version is trained on a user that a later one is judged
    on.
    """
    limit = int(share * 2**64)
    prefix = hashlib.sha256(salt.encode())

    def below(text: str) -> bool:
        state = prefix.copy()
        state.update(text.encode())
        return int.from_bytes(state.digest()[:8], "big") < limit

    return np.fromiter((below(str(u)) for u in user_ids.ids), dtype=bool, count=len(user_ids))


def split_window(
    events: pl.DataFrame,
    filters: Filters,
    *,
    as_of: date,
    share: float | None,
    holdout_days: int,
    salt: str,
    scale: Scale = "none",
    repeats: Repeats = "sum",
) -> TrainingWindow:
    """Split a window's events into training and held-out users, and the latter's events by time.

    Args:
        events: columns user, item, timestamp (seconds), of the window.
        filters: filters to apply first.
        as_of: last day of the window.
        share: share of users to hold out, half for early stopping and half for the gates; None for
            the smallest of `SHARES` that holds out `ENOUGH_HELD_OUT` users with targets.
        holdout_days: number of last days whose events of held-out users are the targets.
        salt: salt of the hash; see `is_held_out`.
        scale: how training uses the weights of events.
        repeats: how to combine the weights of repeated events of a user and item.

    Raises:
        EmptyDataError: nothing is left after the filters, or all users are held out.
        SchemaError: weights are used and the events have none.
    """
    if scale != "none" and "weight" not in events.columns:
        raise SchemaError(
            "the events have no weights, and train.weights uses them; name their column in "
            "[source] columns"
        )
    log = replace(Log.from_frame(events, name="events"), scale=scale, repeats=repeats)
    log = filters.apply(log)
    if not log.n_events:
        raise EmptyDataError("no event of the window is left after the filters")
    cut = day_start(as_of + timedelta(days=1 - holdout_days))
    *smaller_shares, largest_share = SHARES if share is None else (share,)
    for candidate_share in smaller_shares:
        window = _split(log, cut, candidate_share, salt)
        parts = [part for part in (window.validation, window.test) if part]
        if sum(part.fold_in.n_users for part in parts) >= ENOUGH_HELD_OUT:
            return window
    return _split(log, cut, largest_share, salt)


def _split(log: Log, cut: int, share: float, salt: str) -> TrainingWindow:
    """Split a log: hold out a share of the users, whose new items from `cut` on are the targets."""
    mask = is_held_out(log.user_ids, share, salt)
    if mask.all():
        raise EmptyDataError(f"all {log.n_users} users of the window are held out; lower held_out")
    train = log.keep(~mask[log.users]).interactions()
    if not mask.any():
        return TrainingWindow(train, None, None, log.n_events, share)
    held_out_log = log.keep(mask[log.users])
    is_late = held_out_log.events["timestamp"].to_numpy() >= cut
    users = held_out_log.user_ids
    histories = _matrix(held_out_log.keep(~is_late), users, train.item_ids)
    late_items = _matrix(held_out_log.keep(is_late), users, train.item_ids)
    targets = new_entries(late_items, histories)
    usable = np.flatnonzero((np.diff(targets.indptr) > 0) & (np.diff(histories.indptr) > 0))
    half = is_held_out(users, 0.5, salt + "/half")[usable]
    validation, test = (
        FoldIn(
            Interactions(histories[rows], users.take(rows), train.item_ids),
            Interactions(targets[rows], users.take(rows), train.item_ids),
            name,
        )
        if len(rows)
        else None
        for rows, name in ((usable[half], "validation"), (usable[~half], "test"))
    )
    return TrainingWindow(train, validation, test, log.n_events, share)


def _matrix(log: Log, users: Vocabulary, items: Vocabulary) -> csr_array:
    if not log.n_events:
        return csr_array((len(users), len(items)), dtype=np.float32)
    return log.interactions(users, items).x


@dataclass(frozen=True, eq=False)
class WindowEvents:
    """The accepted events of a window.

    Args:
        frame: columns user, item, timestamp (seconds), and rating if there is one.
        n_rejected: number of rows that the contract refused.
        left_out: number of rows that are not events or cannot be read, by reason; see `read_log`.
        report: the contract's report, and `left_out`; JSON-able.
    """

    frame: pl.DataFrame
    n_rejected: int
    left_out: dict[str, int]
    report: dict[str, Any]


def window_events(
    pipeline: Pipeline,
    as_of: date,
    job: str,
    say: Callable[[str], object],
    accept: Collection[str] = (),
) -> WindowEvents:
    """Read the events of the window that ends with `as_of`; refused events go to the quarantine.

    Rows that are not events (an impression, a refund, `clicked` 0) are left out before the contract
    checks the rest: they count neither for a day's volume nor as activity of a user.

    Raises:
        EmptyDataError: no row lies in the window, or all of them are left out.
        BrokenContractError: too many events are refused, or a day has far too few or too many.
        DataError: the source cannot be read.
    """
    since, until = window_of(as_of, pipeline.train.window_days)
    say(f"reading events of {since} to {as_of}")
    read_report = ReadReport()
    raw = pipeline.source.read(since, until, read_report, kinds=pipeline.train.weighting.kinds)
    for line in read_report.losses():
        say(line)
    if not raw.height:
        raise EmptyDataError(
            f"events of {since} to {as_of}: none is left of {read_report.n_in_window or 0:,} rows; "
            + "; ".join(read_report.losses())
            if read_report.left_out
            else f"no event lies from {since} to {as_of} (UTC); set --as-of to the last day with "
            "events, or see why the source has no newer ones"
        )
    quarantine = Registry(pipeline.registry).quarantine(job, as_of)
    checked = pipeline.contract.check(raw, since, until, quarantine=quarantine, accept=accept)
    report = checked.report
    for text in report.accepted:
        say(f"accepted this once: {text}")
    if report.n_rejected:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in report.rejected.items())
        say(f"{report.n_rejected:,} of {report.n_read:,} events are left out: {reasons}")
    per_user = checked.events.group_by("user").len()
    robots = remark_on_robots(Vocabulary(per_user["user"]), per_user["len"].to_numpy())
    if robots is not None:
        say(robots)
    seconds = pl.col("timestamp").dt.epoch("s")
    left_out = dict(read_report.left_out)
    events = checked.events.drop("kind", strict=False).with_columns(seconds)
    shift = "" if job != "train" else shift_in_words(
        events["item"], events["timestamp"], "try fewer train.window_days"
    )  # fmt: skip
    if shift:
        say(shift)
    return WindowEvents(
        events, report.n_rejected, left_out, {**report.to_dict(), "left_out": left_out}
    )
