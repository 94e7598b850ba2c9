"""Draw held-out users from a matrix, and divide their items into fold-in and targets."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from nearfar.core.arguments import validate_arguments
from nearfar.core.errors import DataError, EmptyDataError, SettingsError
from nearfar.core.seeding import generator
from nearfar.data.interactions import FoldIn, Interactions

MIN_ITEMS = 2
"""A held-out user needs one fold-in item and one target."""

MIN_CATALOGUE = 2


def can_be_held_out(interactions: Interactions) -> np.ndarray:
    """Return the rows of the users with at least two items, ascending."""
    return np.flatnonzero(np.diff(interactions.x.indptr) >= MIN_ITEMS)


def single_item_remark(interactions: Interactions) -> str:
    """Return a remark on the number of users with a single item; "" for none."""
    n_single = interactions.n_users - len(can_be_held_out(interactions))
    return f"{n_single:,} users with a single item are never held out" if n_single else ""


@validate_arguments()
def hold_out_users(
    interactions: Interactions, share: float, *, seed: int = 0, target_share: float = 0.2
) -> tuple[Interactions, FoldIn]:
    """Return training users, and held-out users with a part of their items as targets.

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
    candidates = can_be_held_out(interactions)
    n_held_out = min(len(candidates), max(1, int(share * len(candidates))))
    if n_held_out == 0 or n_held_out >= interactions.n_users:
        raise EmptyDataError(
            f"only {len(candidates):,} of {interactions.n_users:,} users have {MIN_ITEMS} items or "
            "more, too few to hold out: train without validation (nearfar train ALGORITHM --data "
            "LOG --validation-share 0; in Python validation=None) or on more data; from single "
            "items only popularity can be learnt (ALGORITHM popularity)"
        )
    held_out_rows = np.sort(rng.choice(candidates, n_held_out, replace=False))
    train_rows = np.setdiff1d(np.arange(interactions.n_users), held_out_rows)
    held_out = interactions.take_users(held_out_rows)
    validation = parted_by_share(held_out, target_share, rng, "validation")
    return interactions.take_users(train_rows), validation


def random_targets(x: csr_array, n_targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a mask of `n_targets` random stored entries of every row."""
    counts = np.diff(x.indptr)
    rows = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((rng.random(x.nnz), rows))
    place = np.empty(x.nnz, np.int64)
    place[order] = np.arange(x.nnz) - np.repeat(x.indptr[:-1], counts)
    return place < n_targets[rows]


def new_entries(x: csr_array, known: csr_array) -> csr_array:
    """Return the entries of a binary matrix that `known`, of the same shape, does not have."""
    new = csr_array(x - x.multiply(known))
    new.eliminate_zeros()
    return new


def parted(data: Interactions, is_target: np.ndarray, name: str) -> FoldIn:
    """Return the entries where `is_target` as held-out items, and the others as fold-in."""
    return FoldIn(data.only(~is_target), data.only(is_target), name)


def parted_by_share(
    data: Interactions, target_share: float, rng: np.random.Generator, name: str
) -> FoldIn:
    """Return random items of each user as held-out items, and the others as fold-in.

    For users with at least two items, `target_share` of the items (rounded down, at least one) are
    held out; for other users none.
    """
    n_items = np.diff(data.x.indptr)
    n_targets = np.maximum(1, (target_share * n_items).astype(np.int64)) * (n_items > 1)
    return parted(data, random_targets(data.x, n_targets, rng), name)


def enough_items(train: Interactions, name: str) -> Interactions:
    """Return `train` if it has enough items to rank.

    Raises:
        DataError: train has a single item.
    """
    if train.n_items < MIN_CATALOGUE:
        only = ", ".join(map(str, train.item_ids.ids.to_list())) or "none"
        raise DataError(
            f"{name} has too few items to train on: {only}; at least {MIN_CATALOGUE} are "
            "needed: use weaker filters, or check which column is the item"
        )
    return train
