"""Values inside of others: objects become columns, lists become rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError, SchemaError
from nearfar.tables.reader import DerivedTable, Numbers, TableReader

NESTED = r"^\s*[\[{]"
Schema = Mapping[str, pl.DataType]


@dataclass(frozen=True)
class Place:
    """Where the values of a column are.

    Attributes:
        root: the table's own column.
        keys: of the objects inside of it, outermost first.
        listed: whether the table's own column holds lists.
    """

    root: str
    keys: tuple[str, ...] = ()
    listed: bool = False

    @property
    def values(self) -> pl.Expr:
        """The values, once lists are rows."""
        expression = pl.col(self.root)
        for key in self.keys:
            expression = expression.struct.field(key)
        return expression


def places(schema: Schema) -> dict[str, Place]:
    """The columns that a table has once its objects are taken apart, by name.

    Columns are named by their path ("properties.product_id"), without keys that say a type, as
    MongoDB writes them ({"$oid": ...}).
    """
    found: dict[str, Place] = {}
    for root, kind in schema.items():
        listed = isinstance(kind, pl.List | pl.Array)
        inner = kind.inner if isinstance(kind, pl.List | pl.Array) else kind
        for keys in _paths(inner):
            name = ".".join([root, *(key for key in keys if not key.startswith("$"))])
            found.setdefault(name, Place(root, keys, listed))
    return found


def _paths(kind: object) -> Iterator[tuple[str, ...]]:
    if not isinstance(kind, pl.Struct):
        yield ()
        return
    for field in kind.fields:  # pyright: ignore[reportAttributeAccessIssue]
        for rest in _paths(field.dtype):
            yield (field.name, *rest)


def is_nested(schema: Schema) -> bool:
    """Whether a column holds objects or lists."""
    return any(kind.is_nested() for kind in schema.values())


class NestedTable(DerivedTable):
    """A table whose objects are columns and whose lists are rows, a row per entry.

    Rows in messages are counted after that.

    Args:
        table: the table as it is.
        schema: the types of its columns.
    """

    def __init__(self, table: TableReader, schema: Schema) -> None:
        self._places = places(schema)
        super().__init__(table, list(self._places))
        self.listed = [name for name, place in self._places.items() if place.listed]
        self._remarks: list[str] = []

    def tolerate(self, columns: Collection[str]) -> None:
        """Let columns hold values of any kind, where these are cells of the table itself."""
        self.lenient = frozenset(columns)
        self.table.tolerate({self._places[column].root for column in columns})

    @property
    def remarks(self) -> Sequence[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Those of the table, and what became of lists."""
        return (*super().remarks, *self._remarks)

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        chosen = {name: self._places[name] for name in selected}
        roots = dict.fromkeys(place.root for place in chosen.values())
        lists = list(dict.fromkeys(place.root for place in chosen.values() if place.listed))
        n_rows = n_empty = 0
        n_entries = 0
        for frame, _ in self.table.blocks(list(roots)):
            n_rows += frame.height
            if lists:
                empty = frame[lists[0]].list.len().fill_null(0) == 0
                n_empty += int(empty.sum())
                frame = self._exploded(frame.filter(~empty), lists)
            values = frame.select(place.values.alias(name) for name, place in chosen.items())
            if not self.typed:
                refuse_nested(values.drop(self.lenient, strict=False), n_entries + 1, self.where)
            yield values, n_entries + 1
            n_entries += frame.height
        if lists:
            self._remarks.append(
                f"{lists[0]!r} holds lists: {n_rows:,} rows are {n_entries:,} events"
            )
        if n_empty:
            self._remarks.append(f"left out: {n_empty:,} rows whose {lists[0]!r} holds nothing")

    def _exploded(self, frame: pl.DataFrame, lists: list[str]) -> pl.DataFrame:
        try:
            return frame.explode(lists)
        except PolarsError:
            raise DataError(
                f"{self.where}: the lists in {' and '.join(map(repr, lists))} are not of the same "
                "length in every row; write a row per event"
            ) from None


def refuse_nested(frame: pl.DataFrame, first_row: int, where: str) -> None:
    """Raise for text that is an object or list of JSON.

    Raises:
        SchemaError: such text stands in a column; with its row.
    """
    for column in frame.columns:
        if frame[column].dtype != pl.String:
            continue
        nested = frame[column].str.contains(NESTED).fill_null(False)
        if nested.any():
            at = int(nested.arg_max() or 0)
            raise SchemaError(
                f"{where}, row {first_row + at}: {column!r} is not one value but "
                f"{frame[column][at][:60]!r}; write it as a key of its own"
            )


def unnested(table: TableReader, schema: Schema) -> TableReader:
    """A table without objects and lists in its cells."""
    return NestedTable(table, schema) if is_nested(schema) else table
