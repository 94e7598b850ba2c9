"""Splits in time, one or rolling: train on the past, find what its users did after."""

from __future__ import annotations

from collections.abc import Iterator

from nearfar.core.arguments import told_in_words
from nearfar.core.errors import EmptyDataError, SchemaError, SettingsError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import Log, check_log
from nearfar.data.filters import merge_duplicates, time_window
from nearfar.data.interactions import FoldIn, Interactions, Split
from nearfar.data.splits.hold_out import enough_items, new_entries
from nearfar.tables.clock import epoch_seconds

DAY = 86_400


@told_in_words()
def split_by_time(
    log: Log,
    validation_from: int | str,
    test_from: int | str,
    until: int | str | None = None,
) -> Split:
    """Train on events before `validation_from`; two windows after it hold the targets.

        ... train ... | validation window | test window |
                      validation_from     test_from     until

    Validation users are those with an event in the validation window whose item train knows:
    fold-in is their history before `validation_from`, targets are those events. Test users
    likewise in the test window, with all their history before `test_from`, that of the
    validation window with it, restricted to the items of train: what a model trained up to
    `validation_from` would be asked on the day `test_from`.

    A user without history before the window (or none with known items) stays, with an empty
    fold-in: such newcomers come to every deployed system, and a model must have an answer. They
    are counted in the protocol. An item that a user interacted with before is not a target.

    Users and items stand in order of first appearance. Moments are seconds since 1970 or ISO
    dates.

    Raises:
        SchemaError: the log has no timestamps.
        SettingsError: the moments do not follow each other.
        EmptyDataError: a part has no users.
        DataError: train has a single item.

    Examples:
        >>> nf.split_by_time(log, "2024-02-15", "2024-03-10").test.n_users
        55
    """
    check_log(log)
    if not log.has("timestamp"):
        raise SchemaError(f"{log.name} has no timestamps; name their column with timestamp=...")
    cut, second = _moment(validation_from), _moment(test_from)
    end = None if until is None else _moment(until)
    if cut >= second or (end is not None and second >= end):
        raise SettingsError(
            f"validation_from {validation_from}, test_from {test_from}, until {until} "
            "do not follow each other"
        )
    past = time_window(log, until=cut)
    if not past.n_events:
        raise EmptyDataError(f"{log.name} has no events before {validation_from} to train on")
    train = enough_items(past.interactions(), log.name)
    validation, dropped_v = _window(log, cut, second, train, "validation")
    test, dropped_t = _window(log, second, end, train, "test")
    counts = {
        part.name: {
            "users": part.n_users,
            "users_without_history": int((part.fold_in.x.sum(axis=1) == 0).sum()),
            "fold_in": part.fold_in.n_interactions,
            "held_out": part.held_out.n_interactions,
            "events_of_unknown_items": dropped,
        }
        for part, dropped in ((validation, dropped_v), (test, dropped_t))
    }
    protocol: dict[str, object] = {
        "kind": "by_time",
        "validation_from": cut,
        "test_from": second,
        "until": end,
        "items": train.n_items,
        "train": {"users": train.n_users, "interactions": train.n_interactions},
        "counts": counts,
        "log": log.name,
        "filters": [str(step) for step in log.steps],
    }
    return Split(train, validation, test, protocol)


def _moment(moment: int | str) -> int:
    seconds = epoch_seconds(moment)
    assert seconds is not None
    return seconds


def _window(
    log: Log, start: int, end: int | None, train: Interactions, name: str
) -> tuple[FoldIn, int]:
    """The users of one window, and how many of its events are of items not in train."""
    window = merge_duplicates(time_window(log, since=start, until=end))
    unknown = window.unknown(item_ids=train.item_ids)
    met = window.interactions(item_ids=train.item_ids) if window.n_events else None
    history = time_window(log, until=start)
    if met is not None:
        before = history.interactions(met.user_ids, train.item_ids)
        new = new_entries(met.x, before.x)
        users = (new.sum(axis=1) > 0).nonzero()[0]
        if len(users):
            ids: Vocabulary = met.user_ids.take(users)
            held_out = Interactions(new[users], ids, train.item_ids)
            return FoldIn(before.take_users(users), held_out, name), unknown.events
    raise EmptyDataError(
        f"{log.name}: no user has a new event of a known item in the {name} window; move its bounds"
    )


@told_in_words()
def split_rolling(
    log: Log, test_from: int | str, window_days: float, n_windows: int = 3
) -> Iterator[Split]:
    """Yield a split in time per window, each window beginning where the one before ends.

        ... train ...                | validation | test |
        ... train ...                             | validation | test |
                                                  test_from

    The first test window begins at `test_from`. Each split is `split_by_time` with windows of
    `window_days`: validation is the window before the test window, and all events before it are
    trained on. Splits are made one at a time, as they are asked for.

    Args:
        log: with timestamps.
        test_from: seconds since 1970 or an ISO date.
        window_days: length of a window; a part of a day is allowed.
        n_windows: how many.

    Raises:
        SettingsError: a window has no length, or there is none.
        SchemaError: the log has no timestamps.
        EmptyDataError: a window has no users, or nothing comes before the first.

    Examples:
        >>> windows = nf.split_rolling(log, "2024-02-15", window_days=14, n_windows=2)
        >>> len(list(windows))
        2
    """
    check_log(log)
    seconds = round(window_days * DAY) if window_days > 0 else 0
    if seconds < 1:
        raise SettingsError(f"window_days is {window_days}; it must be above 0")
    if n_windows < 1:
        raise SettingsError(f"n_windows is {n_windows}; at least 1 is needed")
    first = epoch_seconds(test_from)
    assert first is not None
    return (
        split_by_time(log, start - seconds, start, start + seconds)
        for start in range(first, first + n_windows * seconds, seconds)
    )
