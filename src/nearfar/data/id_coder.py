"""Encode ids as integers while they are read."""

from __future__ import annotations

import numpy as np
import polars as pl

from nearfar.core import identity
from nearfar.core.errors import SchemaError
from nearfar.core.vocabulary import Vocabulary

TABLE_LIMIT = 1 << 24  # 64 MB at most
UNSEEN = np.uint32(0xFFFFFFFF)


class IdCoder:
    """Encode ids as 0, 1, ... block by block, in no particular order.

    Integers from 0 to `TABLE_LIMIT` are looked up in an array; other ids are joined. Text ids are
    held as integers, for speed, until one is not a canonical integer ("007", "7.0").

    Args:
        role: "user" or "item", for messages.
        typed: keep text ids as text even if all are integers, unless other parts of the data have
            integers.
        literal: keep text ids unchanged.

    Attributes:
        rewritten: mask of the codes whose ids `vocabulary` changed; None for none.
        example: one of these ids before the change ("7.0").
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
        """Return the codes (UInt32) of a block's ids, and add new ids.

        Raises:
            SchemaError: some ids are integers, and others are text that is not an integer.
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
            run_codes = self._join(runs.struct.field("value").rename("id"))
            return pl.Series(np.repeat(run_codes.to_numpy(), runs.struct.field("len").to_numpy()))
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
        """Return a block's ids in the type of the earlier ones; text if either is text."""
        assert self._known is not None
        known_ids = self._known["id"]
        if known_ids.dtype == column.dtype and not self._of_both_kinds:
            return column
        text = known_ids if column.dtype != pl.String else column
        if not identity.spells_integers(text):
            type_names = {pl.Int64: "integers", pl.String: "text"}
            before = "text" if column.dtype == pl.Int64 else "integers"
            raise SchemaError(
                f"{self.role} ids are {type_names[column.dtype.base_type()]} here, and {before} in "
                "earlier rows; write all of them in one way"
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
        joined = pl.DataFrame({"id": column}).join(
            self._known, on="id", how="left", maintain_order="left"
        )
        return joined["code"]

    def _add(self, new: pl.DataFrame) -> None:
        start = len(self)
        coded = new.with_columns(code=pl.int_range(start, start + pl.len(), dtype=pl.UInt32))
        self._known = coded if self._known is None else pl.concat([self._known, coded])

    def __len__(self) -> int:
        return 0 if self._known is None else self._known.height

    def vocabulary(self) -> tuple[Vocabulary, np.ndarray | None]:
        """Return the ids in order of code, and the new code of each code if ids became equal.

        Ids of a text file become integers if each of them is a 64-bit integer by the rule of
        `core.identity`: "7", "-7" and "7.0" are, "007" and "+7" are not.

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
