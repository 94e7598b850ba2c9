"""Split data published in two parts, for weak generalisation: every user is in training."""

from __future__ import annotations

import numpy as np

from nearfar.core.arguments import validate_arguments
from nearfar.core.errors import EmptyDataError, SettingsError
from nearfar.core.seeding import generator
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import Log, check_log
from nearfar.data.interactions import FoldIn, Interactions, Split
from nearfar.data.splits.hold_out import enough_items, new_entries, parted, random_targets


@validate_arguments()
def split_given(
    train: Log, test: Log, *, validation_share: float = 0.1, seed: int = 98765
) -> Split:
    """Make a split whose test targets are the events of `test`.

    For validation, a random share of each user's items in `train` (rounded down) are targets. The
    other items are both training data and fold-in, so no validation target is trained on. For the
    test, a user's fold-in is all items in `train`, and the targets are the items in `test`.

    Published results train on all of `train`: after choosing settings, split again with
    `validation_share=0`, so that validation has no targets and train is complete.

    Users and items are those of `train`, ascending by id. Users and items only in `test`, and
    targets that are in the fold-in, are dropped and counted in the protocol.

    Raises:
        EmptyDataError: no event of `test` has a user and an item of `train`.
        SettingsError: the share is not in [0, 1).
        DataError: train has a single item.

    Examples:
        >>> train = nf.read_log(pl.DataFrame({"user": [1, 1, 2, 2, 3], "item": [1, 2, 1, 3, 2]}))
        >>> test = nf.read_log(pl.DataFrame({"user": [1, 3], "item": [3, 1]}))
        >>> nf.split_given(train, test, validation_share=0.4).test.n_users
        3
    """
    check_log(train)
    check_log(test)
    if not 0 <= validation_share < 1:
        raise SettingsError(f"validation_share is {validation_share}; it must be in [0, 1)")
    user_ids = _ascending(train.user_ids)
    item_ids = _ascending(train.item_ids)
    history = enough_items(train.interactions(user_ids, item_ids), train.name)
    unknown = test.unknown(user_ids, item_ids)
    targets = test.interactions(user_ids, item_ids)
    new = new_entries(targets.x, history.x)
    repeated = targets.n_interactions - new.nnz
    targets = Interactions(new, user_ids, item_ids)
    if not targets.n_interactions:
        raise EmptyDataError(
            f"no event of {test.name} is new and has a user and an item of {train.name}; "
            "check that the two parts are of the same data"
        )
    validation = _carved(history, validation_share, seed)
    known = validation.fold_in
    protocol: dict[str, object] = {
        "kind": "given",
        "validation_share": validation_share,
        "seed": seed,
        "users": history.n_users,
        "items": history.n_items,
        "train": known.n_interactions,
        "validation": validation.held_out.n_interactions,
        "test": targets.n_interactions,
        "test_events_of_unknown_users_or_items": unknown.events,
        "test_events_known_from_train": repeated,
        "log": [train.name, test.name],
    }
    return Split(known, validation, FoldIn(history, targets, "test"), protocol)


def _ascending(ids: Vocabulary) -> Vocabulary:
    return ids.take(ids.ids.arg_sort().to_numpy())


def _carved(history: Interactions, share: float, seed: int) -> FoldIn:
    """A share of each row as targets: those with the smallest of random keys, one an event."""
    n_targets = (share * np.diff(history.x.indptr)).astype(np.int64)
    is_target = random_targets(history.x, n_targets, generator(seed, "validation"))
    return parted(history, is_target, "validation")
