"""Rolling time windows: the same question asked at several days."""

from __future__ import annotations

from collections.abc import Iterator

from nearfar.core.arguments import told_in_words
from nearfar.core.errors import SettingsError
from nearfar.data.events import Log, check_log
from nearfar.data.interactions import Split
from nearfar.data.splits.by_time import split_by_time
from nearfar.tables.clock import epoch_seconds

DAY = 86_400


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
