"""From blocks of a table's rows to one frame of events, whatever held them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from nearfar.core.errors import SchemaError
from nearfar.data.build import CANONICAL, beyond
from nearfar.data.columns import Columns
from nearfar.data.tables import canonical_block
from nearfar.store.sources._moments import MOMENT, Moments, TimeUnit, midnight

ID_ROLES = ("user", "item")
NUMBERS = ("rating", "weight")


class EventRows:
    """Collects the rows of one window; `frame` hands them out.

    Args:
        columns: names of columns, as far as they are given; those of the first table hold for
            all that follow.
        unit: what numbers in the timestamp count.
        since, until: the window, [since, until).
        text: ids are text of a text file, and integers where all of a column are.
    """

    def __init__(
        self, columns: Columns, unit: TimeUnit, since: date, until: date, *, text: bool = False
    ) -> None:
        self._columns = columns
        self._unit: TimeUnit = unit
        self._since, self._until = midnight(since), midnight(until)
        self._text = text
        self._integer: dict[str, bool] = dict.fromkeys(ID_ROLES, text)
        self._kinds: dict[str, tuple[pl.DataType, str]] = {}
        self._blocks: list[pl.DataFrame] = []

    def roles(self, present: Sequence[str], where: str) -> dict[str, str]:
        """The column of each role.

        Raises:
            SchemaError: the user, the item or the timestamp cannot be told, or a column that an
                earlier table had is missing.
        """
        found = self._columns.resolve(present, where)
        if "timestamp" not in found:
            listed = ", ".join(repr(c) for c in present)
            raise SchemaError(
                f"{where} has no column known as the timestamp; it has {listed}: name one with "
                "columns.timestamp = '...'"
            )
        self._columns = Columns(**found)
        return found

    def moments(self, where: str) -> Moments:
        """What reads the timestamps of a new table."""
        return Moments(where, self._unit)

    def add(
        self,
        block: pl.DataFrame,
        roles: dict[str, str],
        moments: Moments,
        where: str,
        first_row: int = 1,
        *,
        whole: bool = False,
    ) -> None:
        """Add the rows of a block that lie in the window, or all of them with `whole`.

        Raises:
            SchemaError: ids are neither integers nor text, or of another kind than before.
            DataError: timestamps are in several forms.
        """
        block = block.with_columns(
            pl.col(roles[r]).cast(pl.String) for r in ID_ROLES if block.schema[roles[r]] == pl.Null
        )
        ids = canonical_block(block, {r: roles[r] for r in ID_ROLES}, moments.clock, where)
        columns = [self._of_one_kind(ids[r], where) for r in ID_ROLES]
        columns.append(moments.read(block[roles["timestamp"]].rename("timestamp"), first_row))
        columns += [_numbers(block[roles[r]].rename(r), where) for r in NUMBERS if r in roles]
        rows = pl.DataFrame(columns)
        if not whole:
            moment = pl.col("timestamp")
            rows = rows.filter(moment.is_null() | moment.is_between(
                self._since, self._until, closed="left"
            ))  # fmt: skip
        self._blocks.append(rows)

    def _of_one_kind(self, ids: pl.Series, where: str) -> pl.Series:
        role = ids.name
        if self._text:
            known = self._integer[role] and ids.drop_nulls().str.contains(CANONICAL).all()
            self._integer[role] = bool(known)
            return ids
        if ids.null_count() == len(ids):
            return ids.cast(pl.Null)
        kind, first = self._kinds.setdefault(role, (ids.dtype, where))
        if kind != ids.dtype:
            told = {pl.Int64: "integers", pl.String: "text"}
            raise SchemaError(
                f"{where}: {role} ids are {told[ids.dtype.base_type()]}, in {first} they are "
                f"{told[kind.base_type()]}; make them of one kind"
            )
        return ids

    def frame(self) -> pl.DataFrame:
        """All rows, in an order that depends on their values alone.

        Raises:
            SchemaError: integer ids are beyond 64 bits.
        """
        if not self._blocks:
            return pl.DataFrame(schema={"user": pl.String, "item": pl.String, "timestamp": MOMENT})
        rows = pl.concat(self._blocks, how="vertical_relaxed")
        self._blocks.clear()
        rows = rows.with_columns(self._typed(rows[r]) for r in ID_ROLES)
        return rows.sort("timestamp", "user", "item", *rows.columns[3:])

    def _typed(self, ids: pl.Series) -> pl.Series:
        if ids.dtype == pl.Null:
            return ids.cast(pl.String)
        if not (self._text and self._integer[ids.name]) or ids.null_count() == len(ids):
            return ids
        numbers = ids.cast(pl.Int64, strict=False)
        if numbers.null_count() > ids.null_count():
            large = ids.filter(numbers.is_null() & ids.is_not_null())
            raise beyond(ids.name, large[0])
        return numbers


def _numbers(values: pl.Series, where: str) -> pl.Series:
    kind = values.dtype
    if kind.is_numeric() or kind in (pl.Boolean, pl.String, pl.Null):
        return values.cast(pl.Float64, strict=False)
    raise SchemaError(f"{where}: the {values.name} is {kind}; numbers were expected")
