"""Split users into K folds: every user is a test user once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nearfar.core.arguments import validate_arguments
from nearfar.core.errors import EmptyDataError, SettingsError
from nearfar.core.seeding import derive, generator
from nearfar.data.events import Log, check_log
from nearfar.data.interactions import FoldIn, Interactions, Split
from nearfar.data.splits.hold_out import enough_items, hold_out_users, parted_by_share


@validate_arguments()
def split_k_fold(
    data: Log | Interactions,
    n_folds: int = 5,
    *,
    validation_share: float = 0.1,
    target_share: float = 0.2,
    seed: int = 0,
) -> Iterator[Split]:
    """Yield one split per fold, whose test users are the fold's users.

    Users are shuffled once and divided into folds whose sizes differ by at most one. For a test
    user with at least two items, `target_share` of the items (rounded down, at least one) are
    targets; the others have no targets, and `evaluate` leaves them out. Of the users outside the
    fold, `validation_share` are validation users (see `hold_out_users`), the others are training
    users. Items are those of the training users. Splits are made lazily, one at a time.

    Args:
        data: the filtered log, or interactions.
        n_folds: number of folds, at least 2.
        validation_share: share of the users outside a fold.
        target_share: share of a user's items.
        seed: seed of folds, targets and validation users.

    Raises:
        SettingsError: there are fewer than two folds, or a share is not between 0 and 1.
        EmptyDataError: there are fewer users than folds, or too few with two items.
        DataError: the training users of a fold have a single item.

    Examples:
        >>> [fold.test.n_users for fold in nf.split_k_fold(log, 3)]
        [20, 20, 20]
    """
    if not isinstance(data, Interactions):
        check_log(data)
    everyone = data if isinstance(data, Interactions) else data.interactions()
    if not 0 < target_share < 1:
        raise SettingsError(f"target_share is {target_share}; it must be between 0 and 1")
    if n_folds < 2:
        raise SettingsError(f"n_folds is {n_folds}; at least 2 are needed")
    if everyone.n_users < n_folds:
        raise EmptyDataError(
            f"{everyone.n_users} users cannot be divided into {n_folds} folds; use fewer folds"
        )
    order = generator(seed, "folds").permutation(everyone.n_users)
    folds = [np.sort(fold) for fold in np.array_split(order, n_folds)]
    return (
        _split(everyone, folds, number, validation_share, target_share, seed)
        for number in range(n_folds)
    )


def _split(
    everyone: Interactions,
    folds: list[np.ndarray],
    number: int,
    validation_share: float,
    target_share: float,
    seed: int,
) -> Split:
    outside = np.sort(np.concatenate([fold for i, fold in enumerate(folds) if i != number]))
    train, validation = hold_out_users(
        everyone.take_users(outside), validation_share, seed=derive(seed, "fold", number),
        target_share=target_share,
    )  # fmt: skip
    known = train.item_ids.take(np.flatnonzero(train.item_counts))
    train = enough_items(train.on_items(known), f"fold {number + 1}")
    held = everyone.take_users(folds[number]).on_items(known)
    test = parted_by_share(held, target_share, generator(seed, "targets", number), "test")
    protocol: dict[str, object] = {
        "kind": "k_fold",
        "fold": number + 1,
        "n_folds": len(folds),
        "validation_share": validation_share,
        "target_share": target_share,
        "seed": seed,
        "items": train.n_items,
        "train": {"users": train.n_users, "interactions": train.n_interactions},
        "test": {"users": test.n_users, "held_out": test.held_out.n_interactions},
    }
    return Split(train, validation.on_items(known), FoldIn(test.fold_in, test.held_out, "test"),
                 protocol)  # fmt: skip
