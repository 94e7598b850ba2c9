"""Hold out validation users and, if there are enough users, test users."""

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
"""Share of the users with two items that are validation users; as many again are test users."""

LEAST_USERS = 200
MOST_USERS = 10_000
MOST_SHARE = 0.25

TEST_FROM_USERS = 5_000
"""Number of users with two items from which on test users are held out."""

WINDOW_SHARE = 0.1
"""Share of the events in the validation window, and in the test window, of a split by time."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The split of a log for a search.

    Args:
        train: interactions to fit the trials on.
        validation: users to select the winner by.
        test: users to measure the winner on, once; None if users are few.
        everyone: interactions of all users, for the last fit of the winner.
        protocol: how the split was made, JSON-able.
    """

    train: Interactions
    validation: FoldIn
    test: FoldIn | None
    everyone: Interactions
    protocol: dict[str, Any] = field(default_factory=dict)


def hold_out(data: Log | Interactions, seed: int, *, by_time: bool = False) -> HeldOut:
    """Split a log into training, validation and test parts, by users at random or by time.

    At random, a tenth of the users with two items or more (200 to 10,000, and at most a quarter)
    are validation users; a fifth of their items are the targets. From 5,000 such users on, as many
    again are test users.
    By time, the last tenth of the events is the test window and the tenth before it the
    validation window (see `split_by_time`).

    Args:
        data: a log, or interactions.
        seed: random seed of the draw.
        by_time: split by time.

    Raises:
        SchemaError: a split by time is requested and there are no timestamps.
        EmptyDataError: too few users have two items.
        DataError: there are fewer than two items.
    """
    everyone = data.interactions() if isinstance(data, Log) else data
    if everyone.n_items < 2:
        raise DataError(f"the log has {everyone.n_items} items; at least 2 are needed to rank")
    origin: dict[str, Any] = {}
    if isinstance(data, Log):
        origin = {"log": data.name, "steps": [str(step) for step in data.steps]}
    if by_time:
        return _by_time(data, everyone, origin)
    n_eligible = len(can_be_held_out(everyone))
    n_held_out = int(min(max(SHARE * n_eligible, LEAST_USERS), MOST_USERS, MOST_SHARE * n_eligible))
    train, test = everyone, None
    if n_eligible >= TEST_FROM_USERS:
        train, test = hold_out_users(
            everyone, _share(n_held_out, n_eligible), seed=derive(seed, "autopilot", "test")
        )
        test = FoldIn(test.fold_in, test.held_out, "test")
        n_eligible -= test.n_users
    train, validation = hold_out_users(
        train, _share(n_held_out, n_eligible), seed=derive(seed, "autopilot", "validation")
    )
    protocol = {
        **origin,
        "kind": "users at random",
        "seed": seed,
        "train_users": train.n_users,
        "validation_users": validation.n_users,
        "test_users": test.n_users if test is not None else 0,
    }
    return HeldOut(train, validation, test, everyone, protocol)


def _share(n_held_out: int, n_eligible: int) -> float:
    """Return the share of eligible users that gives about `n_held_out`, between 0 and 1."""
    return min(max(n_held_out / max(n_eligible, 1), 1e-9), 0.99)


def _by_time(data: Log | Interactions, everyone: Interactions, origin: dict[str, Any]) -> HeldOut:
    if not isinstance(data, Log) or not data.has("timestamp"):
        raise SchemaError(
            "a split by time needs timestamps, and the log has none; leave --time-split out, or "
            "name their column with --time-column"
        )
    timestamps = data.events["timestamp"].to_numpy()
    cuts = np.quantile(timestamps, [1 - 2 * WINDOW_SHARE, 1 - WINDOW_SHARE], method="higher")
    validation_from, test_from = map(int, cuts)
    split = split_by_time(data, validation_from, test_from)
    protocol = {**split.protocol, **origin, "kind": "by time"}
    return HeldOut(split.train, split.validation, split.test, everyone, protocol)
