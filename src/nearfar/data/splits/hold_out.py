"""Hold a few users out of a matrix, to choose the best epoch by."""

from __future__ import annotations

import numpy as np

from nearfar.core.arguments import told_in_words
from nearfar.core.errors import EmptyDataError, SettingsError
from nearfar.core.seeding import generator
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.data.splits.targets import parted_by_share

MIN_ITEMS = 2
"""A user with so many items has one to fold in and one to find."""


def can_be_held_out(interactions: Interactions) -> np.ndarray:
    """Rows of the users with at least two items, ascending."""
    return np.flatnonzero(np.diff(interactions.x.indptr) >= MIN_ITEMS)


def single_item_remark(interactions: Interactions) -> str:
    """Say how many users have one item only, or "" where nobody has."""
    n_single = interactions.n_users - len(can_be_held_out(interactions))
    return f"{n_single:,} users with a single item are never held out" if n_single else ""


@told_in_words()
def hold_out_users(
    interactions: Interactions, share: float, *, seed: int = 0, target_share: float = 0.2
) -> tuple[Interactions, FoldIn]:
    """Training users, and held-out users with a part of their items as targets.

    Users with at least two items are drawn at random; of each, `target_share` of the items
    (rounded down, at least one) are targets. Items keep their columns, so that an item known
    only to held-out users has no training user. This is for training on all of a log; the
    protocol for reported numbers is `split_strong`, where users need five items for a target.

    Args:
        share: of the users with at least two items, between 0 and 1; at least one user.

    Raises:
        SettingsError: a share is not between 0 and 1.
        EmptyDataError: no user has two items, or no user would be left to train on.

    Examples:
        >>> train, validation = nf.hold_out_users(log.interactions(), 0.2)
        >>> train.n_users, validation.n_users
        (48, 12)
    """
    if not 0 < share < 1 or not 0 < target_share < 1:
        raise SettingsError(f"shares are {share} and {target_share}; they must be between 0 and 1")
    rng = generator(seed, "hold out users")
    able = can_be_held_out(interactions)
    n_wanted = min(len(able), max(1, int(share * len(able))))
    if n_wanted == 0 or n_wanted >= interactions.n_users:
        raise EmptyDataError(
            f"of {interactions.n_users:,} users {len(able):,} have {MIN_ITEMS} items or more; that "
            "is too few to hold any out: train without validation (share 0) or on more data"
        )
    chosen = np.sort(rng.choice(able, n_wanted, replace=False))
    rest = np.setdiff1d(np.arange(interactions.n_users), chosen)
    held = interactions.take_users(chosen)
    validation = parted_by_share(held, target_share, rng, "validation")
    return interactions.take_users(rest), validation
