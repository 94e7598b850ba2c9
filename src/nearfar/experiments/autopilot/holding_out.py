"""Who is held out: users to choose by and, where there are enough, users to report by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nearfar.core.errors import DataError, SchemaError
from nearfar.core.seeding import derive
from nearfar.data.events import Log
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.data.splits.by_time import split_by_time
from nearfar.data.splits.hold_out import can_be_held_out, hold_out_users

SHARE = 0.1
"""Share of users held out to choose by, and as many again to report by; of those with two items."""

LEAST_USERS = 200
MOST_USERS = 10_000
MOST_SHARE = 0.25

TEST_FROM_USERS = 5_000
"""From so many of these users on, a group of its own is held out for the final number."""

WINDOW_SHARE = 0.1
"""With a split in time: share of the events in the validation window, and in the test window."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The parts of a log.

    Args:
        train: what trials are fitted on.
        validation: users that choose.
        test: users that only the winner is measured on, once; None where users are few.
        everyone: what the winner is fitted on in the end.
        protocol: how it was made, JSON-able.
    """

    train: Interactions
    validation: FoldIn
    test: FoldIn | None
    everyone: Interactions
    protocol: dict[str, Any] = field(default_factory=dict)


def hold_out(data: Log | Interactions, seed: int, *, by_time: bool = False) -> HeldOut:
    """Hold users out of a log, at random or by time.

    At random, a tenth of the users with two items or more (200 to 10,000, and at most a quarter)
    are validation users, with a fifth of their items to be found; from 5,000 such users on, as
    many again are test users.
    By time, the last tenth of the events is the test window and the tenth before it the
    validation window (see `split_by_time`).

    Args:
        data: a log, or interactions.
        seed: of the draw.
        by_time: hold out by time.

    Raises:
        SchemaError: a split in time is asked for and there are no timestamps.
        EmptyDataError: too few users have two items.
        DataError: there are fewer than two items.
    """
    everyone = data.interactions() if isinstance(data, Log) else data
    if everyone.n_items < 2:
        raise DataError(f"the log has {everyone.n_items} items; at least 2 are needed to rank")
    about: dict[str, Any] = {}
    if isinstance(data, Log):
        about = {"log": data.name, "steps": [str(step) for step in data.steps]}
    if by_time:
        return _by_time(data, everyone, about)
    n_able = len(can_be_held_out(everyone))
    n_wanted = int(min(max(SHARE * n_able, LEAST_USERS), MOST_USERS, MOST_SHARE * n_able))
    train, test = everyone, None
    if n_able >= TEST_FROM_USERS:
        train, test = hold_out_users(
            everyone, _share(n_wanted, n_able), seed=derive(seed, "autopilot", "test")
        )
        test = FoldIn(test.fold_in, test.held_out, "test")
        n_able -= test.n_users
    train, validation = hold_out_users(
        train, _share(n_wanted, n_able), seed=derive(seed, "autopilot", "validation")
    )
    protocol = {
        **about,
        "kind": "users at random",
        "seed": seed,
        "train_users": train.n_users,
        "validation_users": validation.n_users,
        "test_users": test.n_users if test is not None else 0,
    }
    return HeldOut(train, validation, test, everyone, protocol)


def _share(n_wanted: int, n_able: int) -> float:
    """Return the share that gives about so many users; between 0 and 1 for any data."""
    return min(max(n_wanted / max(n_able, 1), 1e-9), 0.99)


def _by_time(data: Log | Interactions, everyone: Interactions, about: dict[str, Any]) -> HeldOut:
    if not isinstance(data, Log) or not data.has("timestamp"):
        raise SchemaError(
            "a split in time needs timestamps, and the log has none; leave --time-split out, or "
            "name their column with --time-column"
        )
    moments = data.events["timestamp"].to_numpy()
    cuts = np.quantile(moments, [1 - 2 * WINDOW_SHARE, 1 - WINDOW_SHARE], method="higher")
    validation_from, test_from = map(int, cuts)
    split = split_by_time(data, validation_from, test_from)
    protocol = {**split.protocol, **about, "kind": "by time"}
    return HeldOut(split.train, split.validation, split.test, everyone, protocol)
