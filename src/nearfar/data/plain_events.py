"""Rows that say that nothing happened or that it was taken back, in logs without weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from nearfar.core import identity
from nearfar.core.errors import SchemaError
from nearfar.data.weighting import KindReader
from nearfar.tables.columns import OPTIONS, Columns
from nearfar.tables.names import KINDS, plain_name, words
from nearfar.tables.report import ReadReport

NO_EVENTS = frozenset(
    words(
        "impression impressions impressed exposure exposed shown served displayed refund refunded "
        "partialrefund orderrefunded return returned cancel cancelled canceled cancellation "
        "ordercancelled removefromcart removefrombasket removefromwishlist remove removed "
        "productremoved delete deleted unlike dislike disliked downvote thumbsdown unfollow "
        "unfavorite unfavourite unsubscribe notinterested hide skip skipped voided chargeback "
        "failed abandoned "
        "retoure retouren retourniert rückgabe rueckgabe zurückgegeben storno storniert "
        "stornierung "
        "erstattung erstattet rückerstattung gutschrift gelöscht entfernt abgebrochen devolución "
        "devuelto devuelta reembolso reembolsado anulado anulada anulación cancelado cancelada "
        "cancelación eliminado retour retourné remboursement remboursé annulé annulée annulation "
        "supprimé reso restituito rimborso rimborsato annullato annullata annullamento devolução "
        "devolvido estorno cancelamento geretourneerd terugbetaling terugbetaald geannuleerd zwrot "
        "anulowane anulowano retur återbetalning avbruten iade iptal возврат отмена отменен "
        "退货 退款 取消 已取消 已退款 曝光 返品 返金 キャンセル 반품 환불 취소 노출"
    )
)
"""Kinds of events after which nobody wants the item more, as `plain_name` writes them."""
KIND_WORDS = frozenset({"type", "status", *KINDS})
"""Names under which all sorts of words stand; a remark on them only where one is of `NO_EVENTS`."""
YES = frozenset(
    {"1", "1.0", "true", "t", "yes", "y", "x", "\u2713"}
    | {"ja", "oui", "si", "s\u00ed", "s\u00ec", "sim", "tak", "evet", "да", "是", "はい", "예"}
)
NO = frozenset(
    {"0", "0.0", "false", "f", "no", "n"}
    | {
        "nein",
        "non",
        "n\u00e3o",
        "nao",
        "nee",
        "nej",
        "nie",
        "hay\u0131r",
        "нет",
        "否",
        "いいえ",
        "아니요",
    }
)
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
        self._kept = keeping or _kept
        self._report = report
        self._named = columns or Columns()
        self._counts: dict[str, int] = {}
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
        kinds = sorted(self._counts, key=lambda kind: (-self._counts[kind], kind))
        return {kind: self._counts[kind] for kind in kinds if plain_name(kind) not in NO_EVENTS}

    def read(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series | None]:
        """Return the rows without the columns of kinds and outcomes, and which are no events.

        Raises:
            SchemaError: a column that was named for the kind or the outcome holds neither.
        """
        none: pl.Series | None = None
        for role, judge in (
            ("kind", self._of_no_kind),
            ("outcome", self._of_no_outcome),
            ("undone", self._undone),
        ):
            if role in rows.columns:
                bad = judge(rows[role]) if role not in self._ignored else None
                rows = rows.drop(role)
                if bad is not None:
                    none = bad if none is None else none | bad
        return rows, none

    def check(self, name: str) -> None:
        """Tell of the kinds, once all rows are read."""
        column = self._report.columns.get("kind")
        kept = list(self.kinds)
        if column is not None and len(kept) > 1 and plain_name(column) not in KIND_WORDS:
            counts = ", ".join(f"{kind} {n:,}" for kind, n in list(self.kinds.items())[:8])
            self._report.remarks.append(
                f"{column!r} tells kinds of events ({counts}), which count alike; give them "
                f"weights with --kind-weights {kept[0]}=1,{kept[1]}=2 (in settings: "
                f'kind_weights = "{kept[0]}=1,{kept[1]}=2")'
            )

    def _of_no_kind(self, kinds: pl.Series) -> pl.Series | None:
        counts = kinds.drop_nulls().value_counts()
        counts = counts.sort("count", counts.columns[0], descending=[True, False])
        for kind, n in counts.iter_rows():
            self._counts[kind] = self._counts.get(kind, 0) + n
        if len(self._counts) > MAX_KINDS:
            self._ignore("kind", f"more than {MAX_KINDS} different values")
            return None
        none = [kind for kind in counts.to_series(0) if plain_name(kind) in NO_EVENTS]
        column = self._report.columns.get("kind", "kind")
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
        column = self._report.columns.get("undone", "undone")
        words = outcomes.str.to_lowercase()
        missing = identity.missing_words(words).fill_null(True)
        known = words.filter(~missing)
        if self._named.outcome == "":
            self._ignore("undone", "")
            return None
        if plain_name(column).endswith("at"):
            undone = ~(missing | words.is_in(list(NO)))
        elif known.is_in(list(YES | NO)).all():
            undone = words.is_in(list(YES))
        else:
            self._ignore("undone", f"{known[0]!r}")
            return None
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


def _kept(role: str) -> str:
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
