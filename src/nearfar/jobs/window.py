"""The events of a window, parted for a weekly training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
from jaxtyping import Bool
from scipy.sparse import csr_array

from nearfar.core.errors import EmptyDataError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import Log
from nearfar.data.filters import Filters
from nearfar.data.interactions import FoldIn, Interactions

FEWEST_HELD_OUT = 20


@dataclass(frozen=True, eq=False)
class Training:
    """What a weekly training learns from and is judged on.

    Args:
        train: all events of the window of the users that are not held out.
        validation: half of the held-out users, to stop by: histories up to a few days before
            the end, and what they met since.
        test: the other half, for the gates.
        n_events: of the window, after filters.
    """

    train: Interactions
    validation: FoldIn
    test: FoldIn
    n_events: int


def moment(day: date) -> int:
    """The first second of a day in UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


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
    share: float,
    holdout_days: int,
    salt: str,
) -> Training:
    """Part a window's events by users, and the held-out users' by time.

    Args:
        events: columns user, item, timestamp (seconds), of the window.
        filters: applied before anything else.
        as_of: the last day.
        share: of users held out, half to stop by and half for the gates.
        holdout_days: held-out users' events of so many last days are what is to be foretold.
        salt: see `held_out`.

    Raises: EmptyDataError where too few held-out users met anything in the last days.
    """
    log = filters.apply(Log.from_frame(events, name="events"))
    if not log.n_events:
        raise EmptyDataError("no event of the window is left after the filters")
    out = held_out(log.user_ids, share, salt)
    train = log.keep(~out[log.users]).interactions()
    cut = moment(as_of + timedelta(days=1 - holdout_days))
    theirs = log.keep(out[log.users])
    late = theirs.events["timestamp"].to_numpy() >= cut
    users = theirs.user_ids
    shown = _matrix(theirs.keep(~late), users, train.item_ids)
    found = _matrix(theirs.keep(late), users, train.item_ids)
    new = csr_array(found - found.multiply(shown))
    new.eliminate_zeros()
    able = np.flatnonzero((np.diff(new.indptr) > 0) & (np.diff(shown.indptr) > 0))
    if len(able) < FEWEST_HELD_OUT:
        raise EmptyDataError(
            f"{len(able)} held-out users met something new in the last {holdout_days} days; "
            f"the gates need {FEWEST_HELD_OUT}: raise held_out or holdout_days"
        )
    half = held_out(users, 0.5, salt + "/half")[able]
    parts = [
        FoldIn(
            Interactions(shown[rows], users.take(rows), train.item_ids),
            Interactions(new[rows], users.take(rows), train.item_ids),
            name,
        )
        for rows, name in ((able[half], "validation"), (able[~half], "test"))
    ]
    if min(part.fold_in.n_users for part in parts) == 0:
        raise EmptyDataError("no user is left to stop by or to judge on: raise held_out")
    return Training(train, parts[0], parts[1], log.n_events)


def _matrix(log: Log, users: Vocabulary, items: Vocabulary) -> csr_array:
    if not log.n_events:
        return csr_array((len(users), len(items)), dtype=np.float32)
    return log.interactions(users, items).x
