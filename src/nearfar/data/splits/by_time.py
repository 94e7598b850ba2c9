"""Split a log by time, once or in rolling windows: train on the past, predict later events."""

from __future__ import annotations

from collections.abc import Iterator

from nearfar.core.arguments import validate_arguments
from nearfar.core.errors import EmptyDataError, SchemaError, SettingsError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import Log, check_log
from nearfar.data.filters import merge_duplicates, time_window
from nearfar.data.interactions import FoldIn, Interactions, Split
from nearfar.data.splits.hold_out import enough_items, new_entries
from nearfar.tables.clock import epoch_seconds

DAY = 86_400


@validate_arguments()
def split_by_time(
    log: Log,
    validation_from: int | str,
    test_from: int | str,
    until: int | str | None = None,
) -> Split:
    """Split by time: train on events before `validation_from`, targets in two later windows.

        ... train ... | validation window | test window |
                      validation_from     test_from     until

    Validation users have an event in the validation window with an item of train. Their fold-in is
    their history before `validation_from`, their targets are those events. Test users are defined
    in the same way by the test window; their fold-in is their history before `test_from`, including
    the validation window, with items of train only. This is what a model trained up to
    `validation_from` is asked at `test_from`.

    A user without a history before the window is kept with an empty fold-in, because deployed
    systems have such new users. The protocol counts them. An item that the user interacted with
    before is not a target.

    Users and items are in order of first appearance. Times are seconds since 1970 or ISO dates.

    Raises:
        SchemaError: the log has no timestamps.
        SettingsError: the times are not in ascending order.
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
            "are not in ascending order"
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
    """Return the users of a window, and the number of its events with items not in train."""
    window = merge_duplicates(time_window(log, since=start, until=end))
    unknown = window.unknown(item_ids=train.item_ids)
    interactions = window.interactions(item_ids=train.item_ids) if window.n_events else None
    history = time_window(log, until=start)
    if interactions is not None:
        before = history.interactions(interactions.user_ids, train.item_ids)
        new = new_entries(interactions.x, before.x)
        users = (new.sum(axis=1) > 0).nonzero()[0]
        if len(users):
            ids: Vocabulary = interactions.user_ids.take(users)
            held_out = Interactions(new[users], ids, train.item_ids)
            return FoldIn(before.take_users(users), held_out, name), unknown.events
    raise EmptyDataError(
        f"{log.name}: no user has a new event of a known item in the {name} window; move its bounds"
    )


@validate_arguments()
def split_rolling(
    log: Log, test_from: int | str, window_days: float, n_windows: int = 3
) -> Iterator[Split]:
    """Yield one split by time per window; each window begins where the previous one ends.

        ... train ...                | validation | test |
        ... train ...                             | validation | test |
                                                  test_from

    The first test window begins at `test_from`. Each split is `split_by_time` with windows of
    `window_days`: validation is the window before the test window, and train has all events before
    it. Splits are made lazily, one at a time.

    Args:
        log: a log with timestamps.
        test_from: seconds since 1970 or an ISO date.
        window_days: days per window; fractions are allowed.
        n_windows: number of windows.

    Raises:
        SettingsError: window_days is not positive, or n_windows is below 1.
        SchemaError: the log has no timestamps.
        EmptyDataError: a window has no users, or there is no event before the first.

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
