"""From blocks of rows to a Log, in memory bounded by what is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from nearfar.core.errors import DataError, EmptyDataError, SchemaError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import OPTIONAL, Log, Step, compacted, with_details
from nearfar.data.filters import Filters, row_mask

CANONICAL = r"^(0|-?[1-9][0-9]*)$"


TABLE_LIMIT = 1 << 24  # 64 MB at most
UNSEEN = np.uint32(0xFFFFFFFF)


class GrowingIds:
    """Ids coded 0, 1, ... block after block, in no particular order.

    Integers from 0 to `TABLE_LIMIT` are looked up in an array; all others are joined. Text is
    held as integers until an id comes that is no canonical one ("007"), for their speed.

    Args:
        role: "user" or "item", for messages.
        typed: text stays text even where all of it is integers.
    """

    def __init__(self, role: str, *, typed: bool = False) -> None:
        self.role = role
        self.typed = typed
        self._canonical = not typed
        self._known: pl.DataFrame | None = None
        self._table: np.ndarray | None = np.full(1 << 16, UNSEEN)

    def encode(self, ids: pl.Series) -> pl.Series:
        """The codes (UInt32) of a block's ids, new ones added."""
        column = self._as_integers(ids.rename("id"))
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
        if column.dtype != pl.String or not self._canonical:
            return column
        numbers = column.cast(pl.Int64, strict=False)
        if not numbers.null_count() and (numbers.cast(pl.String) == column).all():
            return numbers
        self._canonical, self._table = False, None
        if self._known is not None:
            self._known = self._known.with_columns(pl.col("id").cast(pl.String))
        return column

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

    def vocabulary(self) -> Vocabulary:
        """All ids seen, by code; integers where every one is a canonical decimal integer.

        "7" and "-7" are canonical; "007", "+7", "7.0" and "" are not, and make the whole
        column text, since as integers they could not be told from "7".

        Raises:
            SchemaError: all ids are integers, but some are beyond 64 bits.
        """
        if self._known is None:
            return Vocabulary([])
        ids = self._known["id"]
        if ids.dtype == pl.String and not self.typed and ids.str.contains(CANONICAL).all():
            large = ids.filter(ids.cast(pl.Int64, strict=False).is_null())
            raise beyond(self.role, large[0])
        return Vocabulary(ids)


def _least(column: pl.Series) -> int:
    return int(column.min())  # pyright: ignore[reportArgumentType]


def _most(column: pl.Series) -> int:
    return int(column.max())  # pyright: ignore[reportArgumentType]


def beyond(role: str, value: object) -> SchemaError:
    """The error for an integer id that 64 bits do not hold."""
    return SchemaError(
        f"{role} id {value} does not fit a signed 64-bit integer; "
        "put a letter before such ids to have them read as text"
    )


class LogBuilder:
    """Collects blocks of rows, checked, coded and filtered; `log` hands out the result.

    Args:
        name: how messages call the data.
        filters: the part that looks at one row alone (rating, time) is applied to each block.
        typed: text ids stay text even where all are integers; for data that has types.
    """

    def __init__(self, name: str, filters: Filters | None = None, *, typed: bool = False) -> None:
        self.name = name
        self.filters = filters or Filters()
        self.n_read = 0
        self._users = GrowingIds("user", typed=typed)
        self._items = GrowingIds("item", typed=typed)
        self._blocks: list[pl.DataFrame] = []

    def add(self, rows: pl.DataFrame, first_row: int | None = None) -> None:
        """Add rows with canonical columns; ids as Int64 or String, the same in every block.

        Raises:
            DataError: an id, rating or time is missing, or a rating is negative or not finite;
                the message counts rows from `first_row` (from where the last block ended).
        """
        first = self.n_read + 1 if first_row is None else first_row
        self.n_read += rows.height
        for column in rows.columns:
            if rows[column].null_count():
                row = first + int(rows[column].is_null().arg_max() or 0)
                raise DataError(f"{self.name}, row {row}: the {column} is missing")
        for column in ("rating", "weight"):
            if column in rows.columns:
                self._check_numbers(rows[column], first)
        coded = rows.with_columns(
            self._users.encode(rows["user"]).alias("user"),
            self._items.encode(rows["item"]).alias("item"),
            *(pl.col(c).cast(t) for c, t in OPTIONAL.items() if c in rows.columns),
        )
        mask = row_mask(coded, self.filters, self.name)
        self._blocks.append(coded if mask is None else coded.filter(mask))

    def _check_numbers(self, values: pl.Series, first: int) -> None:
        bad = ~(values.is_finite() & (values >= 0)) if values.dtype.is_float() else values < 0
        if bad.any():
            row = int(bad.arg_max() or 0)
            raise DataError(
                f"{self.name}, row {first + row}: the {values.name} is {values[row]}; "
                "a number of at least 0 was expected"
            )

    def log(self, items: pl.DataFrame | None = None) -> Log:
        """The log of all rows added, with item details from `items` (column `item`, ...).

        Raises:
            EmptyDataError: no row was added.
            SchemaError: integer ids are beyond 64 bits.
        """
        if not self.n_read:
            raise EmptyDataError(f"{self.name} has no rows; at least one event was expected")
        events = pl.concat(self._blocks, rechunk=True)
        self._blocks.clear()
        user_ids, item_ids = (
            self._users.vocabulary(),
            self._items.vocabulary(),
        )
        log = compacted(Log(events, user_ids, item_ids, self.name))
        step = self.filters.row_step
        if step:
            lost = Step(
                step,
                self.n_read - log.n_events,
                len(user_ids) - log.n_users,
                len(item_ids) - log.n_items,
            )
            log = replace(log, steps=(lost,))
        return replace(log, item_ids=with_details(log.item_ids, items))
