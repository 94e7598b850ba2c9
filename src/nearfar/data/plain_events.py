"""Leave out rows that are no interactions, in logs whose kinds of events have no weights."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping

import polars as pl

from nearfar.core import identity
from nearfar.core.errors import SchemaError
from nearfar.data.contradictions import (
    MOST_WORDS,
    count_contradictions,
    count_negative_outcomes,
    count_odd_kinds,
)
from nearfar.data.event_words import NEVER, NO, NO_EVENT_WORDS, YES, no_event_kinds
from nearfar.data.weighting import KindReader
from nearfar.tables.columns import Columns
from nearfar.tables.contradiction_columns import CONTRADICTION_PREFIX
from nearfar.tables.names import KINDS, STATUSES, plain_name, words
from nearfar.tables.report import ReadReport
from nearfar.tables.roles import KIND_ROLE, OPTIONS

KIND_WORDS = frozenset({"type", *STATUSES, *KINDS})
"""Names of columns that often hold other words than kinds; their kinds are not remarked on."""
ORDER_IDS = frozenset(
    words(
        "orderid order ordernumber orderno ordernr idorder transactionid invoiceid invoiceno "
        "invoicenumber invoice bestellnummer auftragsnummer rechnungsnummer pedido idpedido "
        "numeropedido commande idcommande numerocommande ordine idordine"
    )
)
UNDONE_ROLES = ("undone", "undone_2", "undone_3")
MAX_KINDS = 50
NAMED_KINDS = 8
FEW_VALUES = 2
"""A column with at most so many different values may mean yes and no by other words."""


class PlainEvents:
    """Leave out rows that are no interactions, block by block.

    These are rows whose kind is an impression, a refund, a cancellation or a removal, rows whose
    outcome (clicked, purchased, liked) is no, and rows whose undo column (returned, cancelled_at)
    has a yes or a time.

    Args:
        report: updated with the rows left out and with remarks.
        columns: the column names that the caller set. A column that was set must fit its role.
        keeping: returns the advice how to keep the rows that a role leaves out.
    """

    def __init__(
        self,
        report: ReadReport,
        columns: Columns | None = None,
        keeping: Callable[[str], str] | None = None,
    ) -> None:
        self._how_to_keep = keeping or how_to_keep
        self._report = report
        self._named = columns or Columns()
        self._counts: dict[str, dict[str, int]] = {"kind": {}, "status": {}}
        self._left_out: dict[str, None] = {}
        self._undone_words: dict[str, None] = {}
        self._ignored: dict[str, str] = {}
        self._is_yes_or_no: bool | None = None

    @property
    def condition(self) -> str:
        """The condition that the kept rows meet, for messages; empty if all rows are kept."""
        return f"no {', '.join(self._left_out)}" if self._left_out else ""

    @property
    def kinds(self) -> dict[str, int]:
        """The number of events of each kind, most frequent first; empty without kinds."""
        if "kind" in self._ignored:
            return {}
        counts = self._counts["kind"]
        kinds = sorted(counts, key=lambda kind: (-counts[kind], kind))
        return {kind: counts[kind] for kind in kinds if plain_name(kind) not in NO_EVENT_WORDS}

    def read(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series | None]:
        """Return the rows without the columns of kinds and outcomes, and a mask of the no-events.

        Raises:
            SchemaError: the column that was set for the kind or the outcome does not fit.
        """
        no_event: pl.Series | None = None
        undone: list[pl.Series] = []
        remarked: list[tuple[Callable[[pl.Series, ReadReport], None], pl.Series]] = []
        masks = {
            "kind": self._no_event_kind,
            "status": self._no_event_kind,
            "outcome": self._no_outcome,
            **dict.fromkeys(UNDONE_ROLES, self._undone),
        }
        for role, mask_of in masks.items():
            if role not in rows.columns:
                continue
            mask = None if role in self._ignored else mask_of(rows[role], no_event)
            column = self._ignored.get(role, self._report.columns.get(role, role))
            if role in UNDONE_ROLES and role not in self._ignored:
                undone.append(rows[role].rename(CONTRADICTION_PREFIX + column))
            elif role in self._counts and role not in self._ignored:
                remarked.append((count_odd_kinds, rows[role].rename(column)))
            elif role == "outcome" and role in self._ignored:
                remarked.append((count_negative_outcomes, rows[role].rename(column)))
            rows = rows.drop(role)
            if mask is not None:
                no_event = mask if no_event is None else no_event | mask
        count_contradictions(pl.DataFrame(undone), no_event, self._report)
        for count, values in remarked:
            counting_values = values if no_event is None else values.filter(~no_event)
            count(counting_values, self._report)
        return rows, no_event

    def check(self, name: str) -> None:
        """Add remarks on the kinds of events, after the last block."""
        self._remark_on_orders()
        column = self._report.columns.get("kind")
        kinds = list(self.kinds)
        if (
            column is not None
            and 1 < len(kinds) <= MAX_KINDS
            and (plain_name(column) not in KIND_WORDS or all(map(str.isdigit, kinds)))
        ):
            counts = ", ".join(
                f"{kind} {n:,}" for kind, n in list(self.kinds.items())[:NAMED_KINDS]
            )
            # Of a kind without a weight no event is read, so the example names all of them.
            example = [f"{kind}={n}" for n, kind in enumerate(kinds[:NAMED_KINDS], start=1)]
            weights = ",".join(example + ["..."] * (len(kinds) > NAMED_KINDS))
            option = setting = ""
            if plain_name(column) not in KIND_ROLE.names:
                option = f"--kind-column {shlex.quote(column)} "
                setting = f"kind = {column!r}, "
            self._report.remarks.append(
                f"{column!r} has kinds of events ({counts}) that all count the same; give every "
                f"kind its weight with {option}--kind-weights {shlex.quote(weights)} (in settings: "
                f'{setting}kind_weights = "{weights}")'
            )

    def _remark_on_orders(self) -> None:
        """Add a remark if an order may have other rows than the one that cancels it."""
        orders = [c for c in self._report.unused_columns if plain_name(c) in ORDER_IDS]
        undone = list(self._undone_words)
        if orders and undone:
            self._report.remarks.append(
                f"rows that say {', '.join(map(repr, undone[:3]))} are left out, but other rows of "
                f"the same {orders[0]!r} still count; if an order has several rows, remove all of "
                "an undone one before reading"
            )

    def _no_event_kind(self, kinds: pl.Series, left_out: pl.Series | None) -> pl.Series | None:
        role = kinds.name
        if role == "status" and self._named.kind == "":
            self._ignore(role, "")
            return None
        n_by_kind = self._counts[role]
        counts = kinds.drop_nulls().value_counts()
        counts = counts.sort("count", counts.columns[0], descending=[True, False])
        if counts.height > MOST_WORDS:
            self._ignore(role, f"more than {MOST_WORDS:,} different values")
            return None
        for kind, n in counts.iter_rows():
            if kind in n_by_kind or len(n_by_kind) <= MAX_KINDS:
                n_by_kind[kind] = n_by_kind.get(kind, 0) + n
        if len(n_by_kind) > MAX_KINDS and role == "kind" and self._named.kind:
            self._ignore(role, f"more than {MAX_KINDS} different values")
        column = self._report.columns.get(role, role)
        is_named = role == "kind" and self._named.kind
        words = no_event_kinds(column) if is_named else NO_EVENT_WORDS
        no_events = [kind for kind in counts.to_series(0) if plain_name(kind) in words]
        self._undone_words |= dict.fromkeys(no_events)
        for kind in no_events:
            self._left_out[kind] = None
            reason = f"{column} is {kind!r}: no event ({self._how_to_keep('kind')})"
            self._count((kinds == kind).fill_null(False), left_out, reason)
        return kinds.is_in(no_events).fill_null(False) if no_events else None

    def _count(self, rows: pl.Series, left_out: pl.Series | None, reason: str) -> None:
        """Count rows that are left out, but for those already left out for another reason."""
        if n := int((rows if left_out is None else rows & ~left_out).sum()):
            self._report.left_out[reason] += n

    def _no_outcome(self, outcomes: pl.Series, left_out: pl.Series | None) -> pl.Series | None:
        words = outcomes.str.to_lowercase()
        present = words.drop_nulls()
        if self._is_yes_or_no is None and len(present):
            self._is_yes_or_no = bool(present.is_in(list(YES | NO)).all())
        if self._is_yes_or_no is None:
            return None
        if not self._is_yes_or_no:
            if len(values := present.unique(maintain_order=True)) <= FEW_VALUES:
                column = self._report.columns.get("outcome", "outcome")
                self._report.remarks.append(
                    f"{column!r} is not used: it has {' and '.join(map(repr, values))}, but yes or "
                    "no was expected"
                )
            self._ignore("outcome", f"{present[0]!r}, but yes or no was expected")
            return None
        is_no = words.is_in(list(NO)).fill_null(True)
        column = self._report.columns.get("outcome", "outcome")
        if is_no.any():
            self._left_out[f"{column} 0"] = None
            reason = f"{column} says no: no event ({self._how_to_keep('outcome')})"
            self._count(is_no, left_out, reason)
        return is_no

    def _undone(self, outcomes: pl.Series, left_out: pl.Series | None) -> pl.Series | None:
        column = self._report.columns.get(outcomes.name, outcomes.name)
        words = outcomes.str.to_lowercase()
        if self._named.outcome == "":
            self._ignore(outcomes.name, "")
            return None
        if plain_name(column).endswith("at"):
            missing = identity.missing_words(words).fill_null(True)
            undone = ~(missing | words.is_in(list(NO)) | words.str.contains(NEVER))
        else:
            undone = words.is_in(list(YES)) | _is_no_event_word(words)
        undone = undone.fill_null(False)
        if undone.any():
            self._left_out[f"{column} 1"] = None
            reason = f"{column} says yes: no event ({self._how_to_keep('outcome')})"
            self._count(undone, left_out, reason)
        return undone

    def _ignore(self, role: str, problem: str) -> None:
        """Stop reading a column; raise if the caller set it."""
        if column := getattr(self._named, role, None):
            raise SchemaError(
                f"column {column!r} is set as the {role}, but has {problem}; name another column, "
                f"or none with {OPTIONS[role]} '' (in Python and in settings: {role}='')"
            )
        column = self._report.columns.pop(role, None)
        self._ignored[role] = column or role
        if column is not None:
            self._report.unused_columns.append(column)


def _is_no_event_word(words: pl.Series) -> pl.Series:
    distinct = words.drop_nulls().unique()
    return words.is_in([word for word in distinct if plain_name(word) in NO_EVENT_WORDS])


def how_to_keep(role: str) -> str:
    """Return the advice how to keep the rows that a role leaves out."""
    return f"keep it with {OPTIONS[role]} ''; in Python and in settings {role} = ''"


def event_filter(
    kinds: Mapping[str, float] | None, columns: Columns, report: ReadReport
) -> PlainEvents | KindReader:
    """Return the reader that leaves out rows that are no interactions.

    Args:
        kinds: the weight of each kind of event; None if kinds have no weights.
        columns: the column names that the caller set.
        report: updated with the rows left out.
    """
    return PlainEvents(report, columns) if kinds is None else KindReader(kinds, report)
