"""Held-out users, drawn from a matrix, and their targets, parted from what is folded in."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from nearfar.core.arguments import told_in_words
from nearfar.core.errors import DataError, EmptyDataError, SettingsError
from nearfar.core.seeding import generator
from nearfar.data.interactions import FoldIn, Interactions

MIN_ITEMS = 2
"""A user with so many items has one to fold in and one to find."""

MIN_CATALOGUE = 2


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


def random_targets(x: csr_array, n_targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Of every row, the `n_targets` stored entries with the lowest of random keys (a mask)."""
    counts = np.diff(x.indptr)
    rows = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((rng.random(x.nnz), rows))
    place = np.empty(x.nnz, np.int64)
    place[order] = np.arange(x.nnz) - np.repeat(x.indptr[:-1], counts)
    return place < n_targets[rows]


def new_entries(found: csr_array, known: csr_array) -> csr_array:
    """The entries of a binary matrix that another of the same shape does not have."""
    new = csr_array(found - found.multiply(known))
    new.eliminate_zeros()
    return new


def parted(data: Interactions, is_target: np.ndarray, name: str) -> FoldIn:
    """The stored entries where `is_target` as what is to be found, the others as fold-in."""
    return FoldIn(data.only(~is_target), data.only(is_target), name)


def parted_by_share(
    data: Interactions, target_share: float, rng: np.random.Generator, name: str
) -> FoldIn:
    """Random items of each user as what is to be found, the others as fold-in.

    Of users with two items or more `target_share` of the items, rounded down, at least one; of
    others none.
    """
    n_items = np.diff(data.x.indptr)
    n_targets = np.maximum(1, (target_share * n_items).astype(np.int64)) * (n_items > 1)
    return parted(data, random_targets(data.x, n_targets, rng), name)


def enough_items(train: Interactions, name: str) -> Interactions:
    """`train`, if it leaves anything to choose between.

    Raises:
        DataError: train knows one item only.
    """
    if train.n_items < MIN_CATALOGUE:
        only = ", ".join(map(str, train.item_ids.ids.to_list())) or "none"
        raise DataError(
            f"{name} has too few items to train on: {only}; at least {MIN_CATALOGUE} are "
            "needed: loosen the filters, or check which column is the item"
        )
    return train
