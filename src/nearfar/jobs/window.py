"""The events of a window, parted for a weekly training."""

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
from nearfar.data.splits.hold_out import new_entries
from nearfar.data.weighting import Repeats, Scale
from nearfar.jobs.pipeline import Pipeline
from nearfar.jobs.registry import Registry
from nearfar.store.contracts import midnight
from nearfar.tables.report import ReadReport

SHARES = (0.05, 0.1, 0.2)
ENOUGH_HELD_OUT = 200
"""Held-out users with something to find, half of them for the gates: the least share of `SHARES`
that gives so many is chosen at the first training."""


@dataclass(frozen=True, eq=False)
class TrainingWindow:
    """What a weekly training learns from and is judged on.

    Args:
        train: all events of the window of the users that are not held out.
        validation: half of the held-out users, to stop by: histories up to a few days before
            the end, and their interactions since; None where there is nobody.
        test: the other half, for the gates; None where there is nobody.
        n_events: of the window, after filters.
        share: of the users that are held out.
    """

    train: Interactions
    validation: FoldIn | None
    test: FoldIn | None
    n_events: int
    share: float


def moment(day: date) -> int:
    """The first second of a day in UTC."""
    return int(midnight(day).timestamp())


def check_day(as_of: date, *, allow_future: bool, now: datetime | None = None) -> None:
    """Refuse a day after today (UTC): it would stand as the latest until that date has passed.

    Args:
        as_of: the last day of events.
        allow_future: do not refuse it.
        now: the moment; by default this machine's clock.

    Raises:
        SettingsError: the day is after today.
    """
    today = (now or datetime.now(UTC)).date()
    if as_of > today and not allow_future:
        raise SettingsError(
            f"as_of is {as_of}, and today is {today} (UTC): a day to come would be served as the "
            "latest until then; give an earlier one, or force it with --allow-future"
        )


def window_of(as_of: date, days: int) -> tuple[date, date]:
    """First day and the day after the last of the window that ends with `as_of`."""
    return as_of - timedelta(days=days - 1), as_of + timedelta(days=1)


def held_out(user_ids: Vocabulary, share: float, salt: str) -> Bool[np.ndarray, " users"]:
    """Which users are held out: those whose salted hash is below `share`.

    A user's place never changes, so that no version was trained on anybody that a later one is
    judged on.
    """
    limit = int(share * 2**64)
    prefix = hashlib.sha256(salt.encode())

    def below(text: str) -> bool:
        state = prefix.copy()
        state.update(text.encode())
        return int.from_bytes(state.digest()[:8], "big") < limit

    return np.fromiter((below(str(u)) for u in user_ids.ids), dtype=bool, count=len(user_ids))


def training_of(
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
    """Part a window's events by users, and the held-out users' by time.

    Args:
        events: columns user, item, timestamp (seconds), of the window.
        filters: applied before anything else.
        as_of: the last day.
        share: of users held out, half to stop by and half for the gates; None for the least of
            `SHARES` that holds out `ENOUGH_HELD_OUT` users with something to find.
        holdout_days: held-out users' events of so many last days are the targets.
        salt: see `held_out`.
        scale: what the events' weights are in training.
        repeats: the weight of several events of one user and item.

    Raises: EmptyDataError where nothing is left after the filters; SchemaError where weights are
        used and the events have none.
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
    cut = moment(as_of + timedelta(days=1 - holdout_days))
    *smaller, largest = SHARES if share is None else (share,)
    for each in smaller:
        found = _part(log, cut, each, salt)
        if sum(p.fold_in.n_users for p in (found.validation, found.test) if p) >= ENOUGH_HELD_OUT:
            return found
    return _part(log, cut, largest, salt)


def _part(log: Log, cut: int, share: float, salt: str) -> TrainingWindow:
    """Part a log where a share of the users is held out, with what came since `cut` to find."""
    out = held_out(log.user_ids, share, salt)
    if out.all():
        raise EmptyDataError(f"all {log.n_users} users of the window are held out; lower held_out")
    train = log.keep(~out[log.users]).interactions()
    if not out.any():
        return TrainingWindow(train, None, None, log.n_events, share)
    theirs = log.keep(out[log.users])
    late = theirs.events["timestamp"].to_numpy() >= cut
    users = theirs.user_ids
    shown = _matrix(theirs.keep(~late), users, train.item_ids)
    found = _matrix(theirs.keep(late), users, train.item_ids)
    new = new_entries(found, shown)
    able = np.flatnonzero((np.diff(new.indptr) > 0) & (np.diff(shown.indptr) > 0))
    half = held_out(users, 0.5, salt + "/half")[able]
    validation, test = (
        FoldIn(
            Interactions(shown[rows], users.take(rows), train.item_ids),
            Interactions(new[rows], users.take(rows), train.item_ids),
            name,
        )
        if len(rows)
        else None
        for rows, name in ((able[half], "validation"), (able[~half], "test"))
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
        frame: columns user, item, timestamp (seconds), and rating where there is one.
        n_rejected: rows that the contract refused.
        left_out: rows that are no events or that no rule can read, by reason; see `read_log`.
        report: what the contract found, and `left_out`; JSON-able.
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
    """The events of the window that ends with `as_of`; what is refused goes to the quarantine.

    Rows that are no events (an impression, a refund, `clicked` 0) are left out before the contract
    looks: they count neither for a day's volume nor as activity of a user.

    Raises:
        EmptyDataError: all rows are left out.
        BrokenContractError: too much is refused, or a day has far too few or too many events.
        DataError: the source cannot be read.
    """
    since, until = window_of(as_of, pipeline.train.window_days)
    say(f"reading events of {since} to {as_of}")
    told = ReadReport()
    raw = pipeline.source.read(since, until, told, kinds=pipeline.train.weighting.kinds)
    for line in told.losses():
        say(line)
    if told.left_out and not raw.height:
        raise EmptyDataError(
            f"events of {since} to {as_of}: none is left of {told.n_rows:,} rows; "
            + "; ".join(told.losses())
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
    left_out = dict(told.left_out)
    events = checked.events.drop("kind", strict=False).with_columns(seconds)
    return WindowEvents(
        events, report.n_rejected, left_out, {**report.to_dict(), "left_out": left_out}
    )
