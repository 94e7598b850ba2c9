"""Rows that say that nothing happened or that it was taken back, in logs without weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from nearfar.core import identity
from nearfar.core.errors import SchemaError
from nearfar.data.contradictions import MOST_WORDS, count_contradictions, count_odd_kinds
from nearfar.data.event_words import NO, NO_EVENT_KINDS, NO_EVENT_WORDS, YES
from nearfar.data.weighting import KindReader
from nearfar.tables.columns import OPTIONS, Columns
from nearfar.tables.contradiction_columns import CONTRADICTION_PREFIX
from nearfar.tables.names import KINDS, STATUSES, plain_name
from nearfar.tables.report import ReadReport

KIND_WORDS = frozenset({"type", *STATUSES, *KINDS})
"""Names of columns that often hold other words than kinds; their kinds are not remarked on."""
UNDONE_ROLES = ("undone", "undone_2", "undone_3")
MAX_KINDS = 50
FEW_VALUES = 2
"""A column with so few may say yes and no in other words."""


class PlainEvents:
    """Leaves out rows of events that are none, block after block.

    These are rows whose column of kinds says that something was shown, refunded, cancelled or
    removed, rows whose column of outcomes (clicked, purchased, liked) says no, and rows whose
    column of the opposite (returned, cancelled_at) says yes, or when.

    Args:
        report: filled with the rows left out, and what else there is to say.
        columns: as far as they are given: one that is named must be what it is named for.
        keeping: says how rows are kept that a column speaks against, by its role.
    """

    def __init__(
        self,
        report: ReadReport,
        columns: Columns | None = None,
        keeping: Callable[[str], str] | None = None,
    ) -> None:
        self._kept = keeping or how_kept
        self._report = report
        self._named = columns or Columns()
        self._counts: dict[str, dict[str, int]] = {"kind": {}, "status": {}}
        self._left_out: dict[str, None] = {}
        self._ignored: set[str] = set()
        self._yes_and_no: bool | None = None

    @property
    def condition(self) -> str:
        """What the rows that are kept have in common; empty where all are kept."""
        return f"no {', '.join(self._left_out)}" if self._left_out else ""

    @property
    def kinds(self) -> dict[str, int]:
        """How many events are of each kind, the most frequent first; none where nothing tells."""
        if "kind" in self._ignored:
            return {}
        counts = self._counts["kind"]
        kinds = sorted(counts, key=lambda kind: (-counts[kind], kind))
        return {kind: counts[kind] for kind in kinds if plain_name(kind) not in NO_EVENT_WORDS}

    def read(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series | None]:
        """Return the rows without the columns of kinds and outcomes, and which are no events.

        Raises:
            SchemaError: a column that was named for the kind or the outcome holds neither.
        """
        none: pl.Series | None = None
        unclear: list[pl.Series] = []
        kinds: list[pl.Series] = []
        judges = {
            "kind": self._of_no_kind,
            "status": self._of_no_kind,
            "outcome": self._of_no_outcome,
            **dict.fromkeys(UNDONE_ROLES, self._undone),
        }
        for role, judge in judges.items():
            if role not in rows.columns:
                continue
            bad = None if role in self._ignored else judge(rows[role])
            column = self._report.columns.get(role, role)
            if role in UNDONE_ROLES and role not in self._ignored:
                unclear.append(rows[role].rename(CONTRADICTION_PREFIX + column))
            elif role in self._counts and role not in self._ignored:
                kinds.append(rows[role].rename(column))
            rows = rows.drop(role)
            if bad is not None:
                none = bad if none is None else none | bad
        count_contradictions(pl.DataFrame(unclear), none, self._report)
        for values in kinds:
            count_odd_kinds(values if none is None else values.filter(~none), self._report)
        return rows, none

    def check(self, name: str) -> None:
        """Tell of the kinds, once all rows are read."""
        column = self._report.columns.get("kind")
        kept = list(self.kinds)
        if (
            column is not None
            and 1 < len(kept) <= MAX_KINDS
            and plain_name(column) not in KIND_WORDS
        ):
            counts = ", ".join(f"{kind} {n:,}" for kind, n in list(self.kinds.items())[:8])
            self._report.remarks.append(
                f"{column!r} tells kinds of events ({counts}), which count alike; give them "
                f"weights with --kind-weights {kept[0]}=1,{kept[1]}=2 (in settings: "
                f'kind_weights = "{kept[0]}=1,{kept[1]}=2")'
            )

    def _of_no_kind(self, kinds: pl.Series) -> pl.Series | None:
        role = kinds.name
        if role == "status" and self._named.kind == "":
            self._ignore(role, "")
            return None
        seen = self._counts[role]
        counts = kinds.drop_nulls().value_counts()
        counts = counts.sort("count", counts.columns[0], descending=[True, False])
        if counts.height > MOST_WORDS:
            self._ignore(role, f"more than {MOST_WORDS:,} different values")
            return None
        for kind, n in counts.iter_rows():
            if kind in seen or len(seen) <= MAX_KINDS:
                seen[kind] = seen.get(kind, 0) + n
        if len(seen) > MAX_KINDS and role == "kind" and self._named.kind:
            self._ignore(role, f"more than {MAX_KINDS} different values")
        known = NO_EVENT_KINDS if role == "kind" and self._named.kind else NO_EVENT_WORDS
        none = [kind for kind in counts.to_series(0) if plain_name(kind) in known]
        column = self._report.columns.get(role, role)
        for kind, n in counts.iter_rows():
            if kind in none:
                self._left_out[kind] = None
                self._report.left_out[f"{column} is {kind!r}: no event ({self._kept('kind')})"] += n
        return kinds.is_in(none).fill_null(False) if none else None

    def _of_no_outcome(self, outcomes: pl.Series) -> pl.Series | None:
        words = outcomes.str.to_lowercase()
        known = words.drop_nulls()
        if self._yes_and_no is None and len(known):
            self._yes_and_no = bool(known.is_in(list(YES | NO)).all())
        if self._yes_and_no is None:
            return None
        if not self._yes_and_no:
            if len(values := known.unique(maintain_order=True)) <= FEW_VALUES:
                column = self._report.columns.get("outcome", "outcome")
                self._report.remarks.append(
                    f"{column!r} holds {' and '.join(map(repr, values))}, where yes or no was "
                    "expected, and is not looked at"
                )
            self._ignore("outcome", f"{known[0]!r}, where yes or no was expected")
            return None
        none = words.is_in(list(NO)).fill_null(True)
        column = self._report.columns.get("outcome", "outcome")
        if n := int(none.sum()):
            self._left_out[f"{column} 0"] = None
            self._report.left_out[f"{column} says no: no event ({self._kept('outcome')})"] += n
        return none

    def _undone(self, outcomes: pl.Series) -> pl.Series | None:
        column = self._report.columns.get(outcomes.name, outcomes.name)
        words = outcomes.str.to_lowercase()
        if self._named.outcome == "":
            self._ignore(outcomes.name, "")
            return None
        if plain_name(column).endswith("at"):
            undone = ~(identity.missing_words(words).fill_null(True) | words.is_in(list(NO)))
        else:
            undone = words.is_in(list(YES)) | _says_no_event(words)
        undone = undone.fill_null(False)
        if n := int(undone.sum()):
            self._left_out[f"{column} 1"] = None
            self._report.left_out[f"{column} says yes: no event ({self._kept('outcome')})"] += n
        return undone

    def _ignore(self, role: str, held: str) -> None:
        """Look at a column no more; one that was named for its role is refused."""
        if given := getattr(self._named, role, None):
            raise SchemaError(
                f"column {given!r} is named for the {role} and holds {held}; name another one, or "
                f"none with {OPTIONS[role]} '' (in Python and in settings: {role}='')"
            )
        self._ignored.add(role)
        column = self._report.columns.pop(role, None)
        if column is not None:
            self._report.unused_columns.append(column)


def _says_no_event(words: pl.Series) -> pl.Series:
    """Which words say that nothing happened, or that it was taken back."""
    known = [word for word in words.drop_nulls().unique() if plain_name(word) in NO_EVENT_WORDS]
    return words.is_in(known)


def how_kept(role: str) -> str:
    """How rows are kept that a column speaks against."""
    return f"{OPTIONS[role]} '' keeps it; in Python and in settings {role} = ''"


def event_judge(
    kinds: Mapping[str, float] | None, columns: Columns, report: ReadReport
) -> PlainEvents | KindReader:
    """Return what tells events from rows that are none, for all that reads logs.

    Args:
        kinds: the weight of each kind of event; None where kinds have no weights.
        columns: as far as they are given.
        report: filled with the rows left out.
    """
    return PlainEvents(report, columns) if kinds is None else KindReader(kinds, report)
