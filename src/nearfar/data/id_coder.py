"""Ids that are coded while they are read."""

from __future__ import annotations

import numpy as np
import polars as pl

from nearfar.core import identity
from nearfar.core.errors import SchemaError
from nearfar.core.vocabulary import Vocabulary

TABLE_LIMIT = 1 << 24  # 64 MB at most
UNSEEN = np.uint32(0xFFFFFFFF)


class IdCoder:
    """Ids coded 0, 1, ... block after block, in no particular order.

    Integers from 0 to `TABLE_LIMIT` are looked up in an array; all others are joined. Text is
    held as integers, for their speed, until an id comes that does not spell one ("007", "7.0").

    Args:
        role: "user" or "item", for messages.
        typed: text ids stay text even where all are integers, but where other parts of the data
            hold integers.
        literal: text ids stay as they are written.

    Attributes:
        rewritten: which codes are of ids that `vocabulary` wrote anew; None for none.
        example: such an id, as it was ("7.0").
    """

    def __init__(self, role: str, *, typed: bool = False, literal: bool = False) -> None:
        self.role = role
        self.typed = typed
        self._literal = literal
        self._canonical = not typed
        self._of_both_kinds = False
        self._known: pl.DataFrame | None = None
        self._table: np.ndarray | None = np.full(1 << 16, UNSEEN)
        self.rewritten: pl.Series | None = None
        self.example = ""

    def encode(self, ids: pl.Series) -> pl.Series:
        """The codes (UInt32) of a block's ids, new ones added.

        Raises:
            SchemaError: ids are integers here and text that spells none elsewhere.
        """
        column = self._as_integers(ids.rename("id"))
        if self._known is not None and len(column):
            column = self._of_one_kind(column)
        if self._table is not None and len(column):
            if column.dtype == pl.Int64 and _least(column) >= 0 and _most(column) < TABLE_LIMIT:
                return self._look_up(column.to_numpy())
            self._table = None
        runs = column.rle()  # logs grouped by user or item repeat an id many times in a row
        if len(runs) * 2 < len(column):
            short = self._join(runs.struct.field("value").rename("id"))
            return pl.Series(np.repeat(short.to_numpy(), runs.struct.field("len").to_numpy()))
        return self._join(column)

    def _as_integers(self, column: pl.Series) -> pl.Series:
        if self.typed or not self._canonical or column.dtype != pl.String:
            late = column.dtype == pl.Int64 and not self.typed and not self._canonical
            return column.cast(pl.String) if late else column
        if (numbers := identity.canonical_integers(column)) is not None:
            return numbers
        self._canonical = False
        self._hold_text()
        return column

    def _of_one_kind(self, column: pl.Series) -> pl.Series:
        """A block's ids as those before are: text, where either are."""
        assert self._known is not None
        held = self._known["id"]
        if held.dtype == column.dtype and not self._of_both_kinds:
            return column
        text = held if column.dtype != pl.String else column
        if not identity.spells_integers(text):
            kinds = {pl.Int64: "integers", pl.String: "text"}
            before = "text" if column.dtype == pl.Int64 else "integers"
            raise SchemaError(
                f"{self.role} ids are {kinds[column.dtype.base_type()]} here, and {before} in the "
                "rows before; write them one way"
            )
        self._of_both_kinds = True
        self._hold_text()
        return column.cast(pl.String)

    def _hold_text(self) -> None:
        self._table = None
        if self._known is not None:
            self._known = self._known.with_columns(pl.col("id").cast(pl.String))

    def _look_up(self, ids: np.ndarray) -> pl.Series:
        table = self._table
        assert table is not None
        most = int(ids.max())
        if most >= len(table):
            larger = np.full(max(most + 1, 2 * len(table)), UNSEEN)
            larger[: len(table)] = table
            table = self._table = larger
        codes = table[ids]
        unseen = codes == UNSEEN
        if unseen.any():
            new = np.unique(ids[unseen])
            table[new] = len(self) + np.arange(len(new), dtype=np.uint32)
            self._add(pl.DataFrame({"id": new}))
            codes = table[ids]
        return pl.Series(codes)

    def _join(self, column: pl.Series) -> pl.Series:
        unique = pl.DataFrame({"id": column.unique()})
        if self._known is None:
            self._add(unique)
        else:
            self._add(unique.join(self._known, on="id", how="anti"))
        assert self._known is not None
        found = pl.DataFrame({"id": column}).join(
            self._known, on="id", how="left", maintain_order="left"
        )
        return found["code"]

    def _add(self, new: pl.DataFrame) -> None:
        start = len(self)
        coded = new.with_columns(code=pl.int_range(start, start + pl.len(), dtype=pl.UInt32))
        self._known = coded if self._known is None else pl.concat([self._known, coded])

    def __len__(self) -> int:
        return 0 if self._known is None else self._known.height

    def vocabulary(self) -> tuple[Vocabulary, np.ndarray | None]:
        """All ids seen, by code, and the new code of each code where ids are written anew; or None.

        Ids of a text file become integers if every one spells an integer of 64 bits ("7", "-7" and
        "7.0" do, "007" and "+7" do not), by the rule of `core.identity`.

        Raises:
            DataError: a number in scientific notation may have lost digits.
        """
        if self._known is None:
            return Vocabulary([]), None
        ids = self._known["id"]
        typed = self.typed and not self._of_both_kinds
        settled = identity.settled(ids, self.role, typed=typed, literal=self._literal)
        if settled.equals(ids) if settled.dtype == pl.String else ids.dtype == pl.Int64:
            return Vocabulary(ids), None
        self.rewritten = identity.written_anew(ids)
        self.example = min(ids.filter(self.rewritten), default="")
        unique = settled.unique(maintain_order=True)
        vocabulary = Vocabulary(unique)
        return vocabulary, None if len(unique) == len(ids) else vocabulary.index(settled)


def _least(column: pl.Series) -> int:
    return int(column.min())  # pyright: ignore[reportArgumentType]


def _most(column: pl.Series) -> int:
    return int(column.max())  # pyright: ignore[reportArgumentType]
