"""Recognise columns of times by an event and an ending: "event_ts", "orderDate", "sold_on"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nearfar.tables.names import COUNTING, words

EVENTS = frozenset(
    words(
        "event order ordered purchase purchased transaction txn trx interaction interacted action "
        "activity click clicked view viewed play played watched listened rate rated rating review "
        "reviewed visit visited bought sale sold invoice checkout checkin rented rental borrowed "
        "loan download downloaded streamed like liked saved swiped bid booking booked scrobble "
        "read enrolled starred applied attended shared voted commented bookmarked favorited "
        "followed answered solved finished completed trade traded occurred happened"
    )
)
ENTRIES = frozenset(words("created creation create inserted insert recorded logged"))
"""Words for the moment when a row was written, which may be later than its event."""
ENDINGS = frozenset(words("at ts date datetime dt timestamp tstamp on utc"))
NOUNS = frozenset(
    words("event order purchase transaction txn trx interaction click rating sale invoice checkout")
)
"""Words before "time" that make a moment of it. A "watch_time" is a duration."""
NOT_DATED = frozenset(words("sale play view action activity like checkout"))
"""Words that are no moment with "on": an item may be "on_sale" or "sale_on"."""
PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
COUNTED = COUNTING | frozenset(words("average percent share rank units quantity qty"))
NOTE = re.compile(r"\s*[(\[][^()\[\]]{2,}[)\]]\s*$")
"""A note after a name, such as the unit in "Event time (UTC)"; not "Item(s)"."""


def without_note(name: str) -> str:
    """Return a column's name without a note in brackets at its end, unless it means a count.

    Examples:
        >>> from nearfar.tables.time_names import without_note
        >>> without_note("Event time (UTC)"), without_note("Item(s)"), without_note("Users (total)")
        ('Event time', 'Item(s)', 'Users (total)')
    """
    note = NOTE.search(name)
    if note is None or COUNTED & set(words(re.sub(r"\W", " ", note[0]))):
        return name
    return name[: note.start()] or name


def times_of(events: frozenset[str], columns: Sequence[str]) -> list[str]:
    """Return the columns whose names are one of these words and an ending, such as "event_ts".

    Args:
        events: `EVENTS` or `ENTRIES`.
        columns: the columns of a table; of a path ("value.event_ts") the end counts.
    """
    return [c for c in columns if _is_time_of(events, without_note(c.rpartition(".")[2]))]


def _is_time_of(events: frozenset[str], name: str) -> bool:
    parts = [part.lower() for part in PART.findall(name)]
    if parts[-2:] == ["date", "time"]:
        parts[-2:] = ["datetime"]
    if parts[-1:] == ["utc"] and len(parts) > 2:  # "created_at_utc"
        parts = parts[:-1]
    if len(parts) == 1:  # "eventts"
        whole = parts[0]
        endings = [
            e for e in (*ENDINGS, "time") if whole.endswith(e) and whole[: -len(e)] in events
        ]
        parts = [whole[: -len(endings[0])], endings[0]] if endings else parts
    if len(parts) != 2 or parts[0] not in events:
        return False
    event, ending = parts
    if ending == "time":
        return event in NOUNS or event in ENTRIES
    return ending in ENDINGS and not (ending == "on" and event in NOT_DATED)
