"""Express a time window in the form in which a database compares its timestamps."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from nearfar.core.errors import SchemaError
from nearfar.store.contracts import midnight
from nearfar.tables.digit_dates import DIGIT_FORMS
from nearfar.tables.spreadsheets import DAY_OF_1970
from nearfar.tables.time_units import PER_SECOND, RANGES

SORTED_TEXT = (
    (re.compile(r"\d{4}-\d\d-\d\d"), "%Y-%m-%d"),
    (re.compile(r"\d{4}/\d\d/\d\d"), "%Y/%m/%d"),
    (re.compile(r"\d{8}$"), "%Y%m%d"),
)
"""Beginning of text that sorts by time -> format of a day in it."""


@dataclass(frozen=True)
class Bounds:
    """The window [first, last) in the form of the database's timestamps.

    Values below `least`, or at or above `most`, are not timestamps of this form; None if every
    value is.
    """

    first: Any
    last: Any
    least: Any = None
    most: Any = None


def typical_timestamp(times: Sequence[Any]) -> Any:
    """Return a timestamp of the most frequent type."""
    texts = [t for t in times if isinstance(t, str)]
    if len(texts) * 2 > len(times):
        return next((t for t in texts if any(p.match(t) for p, _ in SORTED_TEXT)), texts[0])
    kind = Counter(map(type, times)).most_common(1)[0][0]
    return next(t for t in times if type(t) is kind)


def bounds_of(
    example: Any, unit: str, since: date, until: date, time_format: str | None = None
) -> Bounds | None:
    """Return the window in the form of an example timestamp; None for text not sorted by time.

    For text the window is a day wider on both sides, because the text may have a time zone; rows
    outside are dropped later.

    Args:
        example: a typical timestamp.
        unit: unit of numeric timestamps.
        since, until: the window [since, until).
        time_format: format of text, if it is known.

    Raises:
        SchemaError: the database cannot order the timestamps by time.
    """
    if isinstance(example, datetime):
        first, last = midnight(since), midnight(until)
        return Bounds(first.replace(tzinfo=None), last.replace(tzinfo=None))
    if isinstance(example, date):
        return Bounds(since, until)
    if isinstance(example, int | float | Decimal) and not isinstance(example, bool):
        if unit in DIGIT_FORMS:
            first, last = (int(midnight(d).strftime(DIGIT_FORMS[unit])) for d in (since, until))
        elif unit == "serial":
            first, last = ((d - date(1970, 1, 1)).days + DAY_OF_1970 for d in (since, until))
        else:
            ticks = PER_SECOND[unit]
            first, last = (int(midnight(d).timestamp()) * ticks for d in (since, until))
        return Bounds(first, last, *RANGES[unit])
    if isinstance(example, str):
        day_format = next((f for pattern, f in SORTED_TEXT if pattern.match(example)), None)
        if day_format is None or not (time_format or day_format).startswith(day_format):
            return None
        day = timedelta(days=1)
        first, last = (since - day).strftime(day_format), (until + day).strftime(day_format)
        return Bounds(first, last, "1", "3")
    raise SchemaError(
        f"a timestamp is {example!r}, which the database cannot order by time; give a query that "
        "casts it to a timestamp"
    )
