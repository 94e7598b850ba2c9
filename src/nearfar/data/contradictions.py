"""Rows that count as interactions although a column says the opposite: told and counted."""

from __future__ import annotations

import re

import polars as pl

from nearfar.core import identity
from nearfar.data.event_words import CONTRARY_WORDS, NO, YES
from nearfar.tables.columns import OPTIONS
from nearfar.tables.contrary import CONTRARY, NOT_UNDONE, UNDONE_STEMS, contrary_of
from nearfar.tables.names import plain_name
from nearfar.tables.report import ReadReport

NEGATIVE = r"^\s*[-\u2212]\s*[$€£¥]?\s*\d*[.,]?\d*[1-9]|^\s*\(\s*[$€£¥]?\s*\d[\d.,]*\s*\)\s*$"
NUMBER = r"^\s*[+-]?[$€£¥]?\s*\d[\d.,]*\s*$"
ODD_KINDS = re.compile("impression|uninstall|unsubscri|unfollow|unlik|fail|dropped")
MOST_VALUES = 8
MOST_WORDS = 10_000
"""A column with more of them holds no kinds of events."""
LONGEST_KIND = 40
WEIGH_KINDS = "--kind-weights leaves out the kinds that it does not name"
TAKE_AWAY = "if that takes the event back, take these rows away before reading"


def tell_contradictions(
    rows: pl.DataFrame, left_out: pl.Series | None, report: ReadReport
) -> pl.DataFrame:
    """Return rows without the columns that may speak against them, which are counted in the report.

    Args:
        rows: with such columns beside the others.
        left_out: rows that do not count anyway; None for none.
        report: its `contradictions` are filled.
    """
    contrary = [column for column in rows.columns if column.startswith(CONTRARY)]
    if not contrary:
        return rows
    counting = pl.repeat(True, rows.height, eager=True) if left_out is None else ~left_out
    if "weight" in rows.columns:
        counting &= (rows["weight"] > 0).fill_null(True)
    for column in contrary:
        name = column.removeprefix(CONTRARY)
        values = rows[column].filter(counting)
        if values.null_count() < len(values):
            for what, n in _spoken(name, values.drop_nulls()).items():
                report.contradictions[what] += n
    return rows.drop(contrary)


def tell_odd_kinds(kinds: pl.Series, report: ReadReport) -> None:
    """Count in the report the kinds of events that are kept and may be none, and rows without one.

    Args:
        kinds: of the rows that count.
        report: its `contradictions` are filled.
    """
    if n_missing := kinds.null_count():
        report.contradictions[f"{kinds.name!r} is empty ({TAKE_AWAY})"] += n_missing
    distinct = kinds.drop_nulls().unique()
    odd = [k for k in distinct if len(k) <= LONGEST_KIND and _is_odd(plain_name(k))]
    for kind, n in kinds.filter(kinds.is_in(odd)).value_counts(sort=True).head(MOST_VALUES).rows():
        report.contradictions[f"{kinds.name!r} is {kind!r} ({WEIGH_KINDS})"] += n


def _is_odd(plain: str) -> bool:
    odd = UNDONE_STEMS.search(plain) or ODD_KINDS.search(plain)
    return bool(odd) and not NOT_UNDONE.search(plain)


def _spoken(name: str, values: pl.Series) -> dict[str, int]:
    """How many values speak against their row, in words."""
    match contrary_of(name):
        case "kind":
            return _kinds(name, values)
        case "praise":
            words = values.str.to_lowercase()
            if not words.is_in(list(YES | NO)).all():
                return {}
            n = int(words.is_in(list(NO)).sum())
            return {f"{name!r} says no ({_named('outcome', name)})": n} if n else {}
        case "amount":
            n = int(values.str.contains(NEGATIVE).sum())
            return {f"{name!r} is negative ({TAKE_AWAY})": n} if n else {}
        case _:
            return _undone(name, values)


def _kinds(name: str, values: pl.Series) -> dict[str, int]:
    counts = values.value_counts().sort("count", values.name, descending=[True, False])
    if counts.height > MOST_WORDS:
        return {}
    against = [(v, n) for v, n in counts.iter_rows() if plain_name(v) in CONTRARY_WORDS]
    told = {f"{name!r} is {v!r} ({_named('kind', name)})": n for v, n in against[:MOST_VALUES]}
    if rest := sum(n for _, n in against[MOST_VALUES:]):
        told[f"{name!r} says so in other words ({_named('kind', name)})"] = rest
    return told


def _undone(name: str, values: pl.Series) -> dict[str, int]:
    words = values.str.to_lowercase()
    said = values.filter(~(identity.missing_words(words) | words.is_in(list(NO))))
    numbers = said.str.contains(NUMBER)
    nothing = said.str.contains(r"^[\s$€£¥+0.,-]*$")
    n_numbers, n_words = int((numbers & ~nothing).sum()), int((~numbers & ~nothing).sum())
    told = {f"{name!r} is not 0 ({TAKE_AWAY})": n_numbers} if n_numbers else {}
    if n_words:
        distinct = said.filter(~numbers & ~nothing).unique(maintain_order=True)
        such = f"is {distinct[0]!r}" if len(distinct) == 1 else "holds a value"
        told[f"{name!r} {such} ({TAKE_AWAY})"] = n_words
    return told


def _named(role: str, column: str) -> str:
    return (
        f"{OPTIONS[role]} {column} leaves them out; in Python and in settings {role} = {column!r}"
    )
