"""Split users for strong generalisation, with the random draws of the published protocol."""

from __future__ import annotations

import math
import numbers

import numpy as np

from nearfar.core.arguments import validate_arguments
from nearfar.core.errors import EmptyDataError, SettingsError
from nearfar.data.events import Log, binary_matrix, check_log
from nearfar.data.filters import merge_duplicates
from nearfar.data.interactions import FoldIn, Interactions, Split
from nearfar.data.splits.hold_out import enough_items

SEED = 98765
TEST_SHARE = 0.2
MIN_EVENTS = 5


@validate_arguments()
def split_strong(
    log: Log, n_held_out: int | float, seed: int = SEED, test_share: float = TEST_SHARE
) -> Split:
    """Split users into train, validation and test, with the draws of the Mult-VAE reference code.

    Args:
        log: the filtered log; repeated events of a user and item are merged into the first.
        n_held_out: number of validation users, and of test users; below 1, the share of all users
            for each, rounded down.
        seed: seed of NumPy's legacy generator.
        test_share: share of a held-out user's items that are targets.

    The draws, which are stable across NumPy versions for its legacy generator:

    1. Sort user ids (numbers by value, text by code point). `RandomState(seed)
       .permutation(n_users)` shuffles their positions. The last `n_held_out` of the shuffled
       order are test users, those before them validation users, the others train users.
    2. Items are those of train users' events, in order of first appearance in the log. Events
       of held-out users with other items are dropped.
    3. For validation, and again for test, a fresh `RandomState(seed)` draws targets for the users
       in ascending id, not in shuffled order. For a user with n >= 5 remaining events the targets
       are `choice(n, size=int(test_share * n), replace=False)`, positions among the user's events
       in file order (`choice` without replacement is the head of `permutation(n)`). For a user with
       fewer events nothing is drawn, and there is no target.

    Rows are in shuffled order in all parts, the order of users in the reference code. Users without
    a target are kept; evaluation counts them and leaves them out of means.

    Raises:
        SettingsError: no user is left to train on, or none is held out.
        EmptyDataError: the log is empty.
        DataError: train has a single item.

    Examples:
        >>> nf.split_strong(log, 0.2).test.n_users
        12
        >>> nf.split_strong(log, 8).test.n_users
        8
    """
    check_log(log)
    if not log.n_events:
        raise EmptyDataError(f"{log.name} has no events to split")
    if not 0 < test_share < 1:
        raise SettingsError(f"test_share is {test_share}; it must be between 0 and 1")
    if not isinstance(seed, numbers.Integral) or not 0 <= seed < 2**32:
        raise SettingsError(f"seed is {seed!r}; NumPy's legacy generator takes 0 to 2^32 - 1")
    n = _count(n_held_out, log.n_users)
    merged = merge_duplicates(log)
    ascending = merged.user_ids.ids.arg_sort().to_numpy()
    shuffled = ascending[np.random.RandomState(seed).permutation(log.n_users)]
    rank = np.empty(log.n_users, np.int64)
    rank[ascending] = np.arange(log.n_users)

    n_train = log.n_users - 2 * n
    groups = (shuffled[:n_train], shuffled[n_train:-n], shuffled[-n:])
    train = enough_items(_train(merged, groups[0]), log.name)
    columns = train.item_ids.index(merged.item_ids.ids)
    parts, counts = [], {}
    for name, group in zip(("validation", "test"), groups[1:], strict=True):
        part, dropped = _held_out(merged, group, rank, columns, train, seed, test_share, name)
        parts.append(part)
        counts[name] = {
            "users": part.n_users,
            "users_without_target": int((np.diff(part.held_out.x.indptr) == 0).sum()),
            "fold_in": part.fold_in.n_interactions,
            "held_out": part.held_out.n_interactions,
            "events_of_unknown_items": dropped,
        }
    counts["train"] = {"users": n_train, "interactions": train.n_interactions}
    protocol: dict[str, object] = {
        "kind": "strong",
        "n_held_out": n,
        "seed": seed,
        "test_share": test_share,
        "min_events_for_a_target": MIN_EVENTS,
        "repeated_events_merged": log.n_events - merged.n_events,
        "items": train.n_items,
        "counts": counts,
        "log": log.name,
        "filters": [str(step) for step in log.steps],
    }
    return Split(train, parts[0], parts[1], protocol)


def _count(n_held_out: int | float, n_users: int) -> int:
    if not isinstance(n_held_out, numbers.Real) or not math.isfinite(n_held_out):
        raise SettingsError(f"n_held_out is {n_held_out!r}; a number of users or a share is needed")
    share = isinstance(n_held_out, float) and 0 < n_held_out < 1
    n = int(n_held_out * n_users) if share else int(n_held_out)
    if n < 1 or 2 * n >= n_users or (not share and n != n_held_out):
        raise SettingsError(
            f"n_held_out is {n_held_out}: {n} of {n_users:,} users for validation and as many for "
            "test; at least 1 each is needed, and at least 1 user to train on"
        )
    return n


def _train(log: Log, users: np.ndarray) -> Interactions:
    row = np.full(log.n_users, -1, np.int64)
    row[users] = np.arange(len(users))
    rows = row[log.users]
    part = log.keep(rows >= 0)  # its items are in order of first appearance
    return part.interactions(user_ids=log.user_ids.take(users))


def _held_out(
    log: Log,
    users: np.ndarray,
    rank: np.ndarray,
    columns: np.ndarray,
    train: Interactions,
    seed: int,
    test_share: float,
    name: str,
) -> tuple[FoldIn, int]:
    """Return the fold-in and targets of a group of users, and the number of dropped events."""
    row = np.full(log.n_users, -1, np.int64)
    row[users] = np.arange(len(users))
    in_group = row[log.users] >= 0
    known = in_group & (columns[log.item_positions] >= 0)
    user, item = log.users[known], columns[log.item_positions[known]]
    order = np.argsort(rank[user], kind="stable")  # by ascending id, then in file order
    user, item = user[order], item[order]
    is_target = target_mask(rank[user], seed, test_share)
    shape = (len(users), train.n_items)
    ids = log.user_ids.take(users)
    fold_in, held_out = (
        Interactions(binary_matrix(row[user[m]], item[m], shape), ids, train.item_ids)
        for m in (~is_target, is_target)
    )
    return FoldIn(fold_in, held_out, name), int(in_group.sum() - known.sum())


def target_mask(grouped: np.ndarray, seed: int, test_share: float) -> np.ndarray:
    """Return a mask of the target events, for events grouped by user in the order of the draws."""
    rng = np.random.RandomState(seed)
    starts = np.flatnonzero(np.r_[True, grouped[1:] != grouped[:-1]]) if len(grouped) else []
    ends = [*starts[1:], len(grouped)]
    mask = np.zeros(len(grouped), bool)
    for start, end in zip(starts, ends, strict=False):
        n = int(end - start)
        if n >= MIN_EVENTS:
            mask[start + rng.choice(n, size=int(test_share * n), replace=False)] = True
    return mask
