"""Count rows that are kept although one of their columns says the opposite of an interaction."""

from __future__ import annotations

import re

import polars as pl

from nearfar.core import identity
from nearfar.data.event_words import AMBIGUOUS_KINDS, NEVER, NO, YES, no_event_kinds
from nearfar.tables.contradiction_columns import (
    CONTRADICTION_PREFIX,
    NO_UNDO,
    UNDO_STEMS,
    contradiction_type,
)
from nearfar.tables.names import plain_name
from nearfar.tables.report import ReadReport
from nearfar.tables.roles import OPTIONS

NEGATIVE = r"^\s*[-\u2212]\s*[$€£¥]?\s*\d*[.,]?\d*[1-9]|^\s*\(\s*[$€£¥]?\s*\d[\d.,]*\s*\)\s*$"
NUMBER = r"^\s*[+-]?[$€£¥]?\s*\d[\d.,]*\s*$"
ODD_KINDS = re.compile(
    "impression|shown$|displayed$|fail|dropped|denied|expired|unpaid|onhold|"
    "^draft|lost$|fraud|spam|bounce"
)
MOST_VALUES = 8
MOST_WORDS = 10_000
"""A column with more distinct values does not hold kinds of events."""
MOST_PHRASES = 50
"""A column with more distinct values does not hold kinds of events in several words."""
LONGEST_KIND = 40
WEIGH_KINDS = "in a log, --kind-weights leaves out the kinds that it does not name"
REMOVE_NO_EVENTS = "if this is no event, remove these rows before reading"
REMOVE_ROWS = "if this undoes the event, remove these rows before reading"


def count_contradictions(
    rows: pl.DataFrame, left_out: pl.Series | None, report: ReadReport
) -> pl.DataFrame:
    """Count the rows that contradict an interaction, and return rows without the columns read.

    Args:
        rows: rows whose contradicting columns begin with `CONTRADICTION_PREFIX`.
        left_out: mask of the rows that do not count anyway; None for none.
        report: its `contradictions` are updated.
    """
    columns = [column for column in rows.columns if column.startswith(CONTRADICTION_PREFIX)]
    if not columns:
        return rows
    counting = pl.repeat(True, rows.height, eager=True) if left_out is None else ~left_out
    if "weight" in rows.columns:
        counting &= (rows["weight"] > 0).fill_null(True)
    for role in ("user", "item"):
        if role in rows.columns:  # a row without an id is rejected later
            counting &= rows[role].is_not_null()
    for column in columns:
        name = column.removeprefix(CONTRADICTION_PREFIX)
        values = rows[column].filter(counting)
        if values.null_count() < len(values):
            for message, n in _contradictions(name, values.drop_nulls()).items():
                report.contradictions[message] += n
    return rows.drop(columns)


def count_odd_kinds(kinds: pl.Series, report: ReadReport) -> None:
    """Count rows whose kind is empty, or looks like no interaction but is not a known word.

    Args:
        kinds: the kinds of the rows that count.
        report: its `contradictions` are updated.
    """
    if n_missing := kinds.null_count():
        report.contradictions[f"{kinds.name!r} is empty ({REMOVE_ROWS})"] += n_missing
    distinct = kinds.drop_nulls().unique()
    odd = [kind for kind in distinct if _is_odd(kind, UNDO_STEMS, ODD_KINDS)]
    for kind, n in kinds.filter(kinds.is_in(odd)).value_counts(sort=True).head(MOST_VALUES).rows():
        report.contradictions[f"{kinds.name!r} is {kind!r} ({WEIGH_KINDS})"] += n


def count_negative_outcomes(outcomes: pl.Series, report: ReadReport) -> None:
    """Count rows that count although their outcome is 0 or no, in a column of more than yes and no.

    Args:
        outcomes: the outcomes of the rows that count.
        report: its `contradictions` are updated.
    """
    negative = outcomes.filter(outcomes.str.to_lowercase().is_in(list(NO)))
    for value, n in negative.value_counts(sort=True).rows():
        report.contradictions[f"{outcomes.name!r} is {value!r} ({REMOVE_NO_EVENTS})"] += n


def _is_odd(kind: str, *stems: re.Pattern[str]) -> bool:
    """Return whether a kind has a part such as "return" ("Sales Return")."""
    plain = plain_name(kind)
    found = len(kind) <= LONGEST_KIND and any(stem.search(plain) for stem in stems)
    return found and not NO_UNDO.search(plain)


def _contradictions(name: str, values: pl.Series) -> dict[str, int]:
    """Return the number of contradicting values by message.

    Args:
        name: the name of the column.
        values: its values without nulls, as text.
    """
    match contradiction_type(name):
        case "kind":
            return _no_event_kinds(name, values)
        case "praise":
            words = values.str.to_lowercase()
            if not words.is_in(list(YES | NO)).all():
                return {}
            n = int(words.is_in(list(NO)).sum())
            return {f"{name!r} says no ({_option_hint('outcome', name)})": n} if n else {}
        case "amount":
            n = int(values.str.contains(NEGATIVE).sum())
            return {f"{name!r} is negative ({REMOVE_ROWS})": n} if n else {}
        case _:
            return _undone(name, values)


def _no_event_kinds(name: str, values: pl.Series) -> dict[str, int]:
    counts = values.value_counts().sort("count", values.name, descending=[True, False])
    if counts.height > MOST_WORDS:
        return {}
    words = no_event_kinds(name)
    no_events = [(v, n) for v, n in counts.iter_rows() if plain_name(v) in words]
    hint = _option_hint("kind", name)
    messages = {f"{name!r} is {v!r} ({hint})": n for v, n in no_events[:MOST_VALUES]}
    may_have_phrases = counts.height <= MOST_PHRASES
    messages |= {
        f"{name!r} is {v!r} ({REMOVE_ROWS})": n
        for v, n in counts.iter_rows()
        if plain_name(v) in AMBIGUOUS_KINDS
        or (may_have_phrases and plain_name(v) not in words and _is_odd(v, UNDO_STEMS))
    }
    if n_others := sum(n for _, n in no_events[MOST_VALUES:]):
        messages[f"{name!r} has other such words ({hint})"] = n_others
    return messages


def _undone(name: str, values: pl.Series) -> dict[str, int]:
    words = values.str.to_lowercase()
    undone = values.filter(~(identity.missing_words(words) | words.is_in(list(NO))))
    is_number = undone.str.contains(NUMBER)
    is_never = undone.str.contains(NEVER)
    n_numbers = int((is_number & ~is_never).sum())
    texts = undone.filter(~is_number & ~is_never)
    messages = {f"{name!r} is not 0 ({REMOVE_ROWS})": n_numbers} if n_numbers else {}
    if len(texts):
        distinct = texts.unique(maintain_order=True)
        problem = f"is {distinct[0]!r}" if len(distinct) == 1 else "holds a value"
        messages[f"{name!r} {problem} ({REMOVE_ROWS})"] = len(texts)
    return messages


def _option_hint(role: str, column: str) -> str:
    return (
        f"{OPTIONS[role]} {column} leaves them out; in Python and in settings {role} = {column!r}"
    )
