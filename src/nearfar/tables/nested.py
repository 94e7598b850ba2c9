"""Flatten nested values: objects become columns, lists become rows."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import polars.selectors as cs
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError, SchemaError
from nearfar.tables.reader import DerivedTable, Numbers, TableReader

NESTED = r"^\s*[\[{]"
Schema = Mapping[str, pl.DataType]


@dataclass(frozen=True)
class Place:
    """The place of a flat column's values in the nested table.

    Attributes:
        root: the column of the nested table.
        keys: the keys of the nested objects, outermost first.
        listed: whether the root column holds lists.
    """

    root: str
    keys: tuple[str, ...] = ()
    listed: bool = False

    @property
    def values(self) -> pl.Expr:
        """The expression of the values, after lists became rows."""
        expression = pl.col(self.root)
        for key in self.keys:
            expression = expression.struct.field(key)
        return expression


def places(schema: Schema) -> dict[str, Place]:
    """Return the places of a table's flat columns, by name.

    A column's name is its path ("properties.product_id"), without the keys for types in MongoDB's
    exports ({"$oid": ...}).
    """
    by_name: dict[str, Place] = {}
    for root, kind in schema.items():
        listed = isinstance(kind, pl.List | pl.Array)
        inner = kind.inner if isinstance(kind, pl.List | pl.Array) else kind
        for keys in _paths(inner):
            name = ".".join([root, *(key for key in keys if not key.startswith("$"))])
            by_name.setdefault(name, Place(root, keys, listed))
    return by_name


def _paths(kind: object) -> Iterator[tuple[str, ...]]:
    if not isinstance(kind, pl.Struct):
        yield ()
        return
    for field in kind.fields:  # pyright: ignore[reportAttributeAccessIssue]
        for path in _paths(field.dtype):
            yield (field.name, *path)


def is_nested(schema: Schema) -> bool:
    """Return whether a column holds objects or lists."""
    return any(kind.is_nested() for kind in schema.values())


class NestedTable(DerivedTable):
    """A table with objects flattened to columns, and lists to one row per entry.

    Row numbers in messages count these rows.

    Args:
        table: the nested table.
        schema: the types of its columns.
    """

    def __init__(self, table: TableReader, schema: Schema) -> None:
        self._places = places(schema)
        super().__init__(table, list(self._places))
        self.listed = [name for name, place in self._places.items() if place.listed]
        self._remarks: list[str] = []

    def tolerate(self, columns: Collection[str]) -> None:
        """Allow values of any type in columns."""
        self.lenient = frozenset(columns)
        places = (self._places.get(column) for column in columns)
        self.table.tolerate({place.root for place in places if place is not None})

    @property
    def remarks(self) -> Sequence[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The remarks of the nested table, and a remark on lists."""
        return (*super().remarks, *self._remarks)

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        places = {name: self._places[name] for name in selected}
        roots = dict.fromkeys(place.root for place in places.values())
        lists = list(dict.fromkeys(place.root for place in places.values() if place.listed))
        n_rows = n_empty = 0
        n_entries = 0
        for frame, _ in self.table.blocks(list(roots)):
            n_rows += frame.height
            if lists:
                frame = frame.with_columns(cs.array().arr.to_list())
                empty = frame[lists[0]].list.len().fill_null(0) == 0
                n_empty += int(empty.sum())
                frame = self._exploded(frame.filter(~empty), lists)
            values = frame.select(place.values.alias(name) for name, place in places.items())
            if not self.typed:
                refuse_nested(values.drop(self.lenient, strict=False), n_entries + 1, self.where)
            yield values, n_entries + 1
            n_entries += frame.height
        if lists:
            self._remarks.append(
                f"{lists[0]!r} holds lists: {n_rows:,} rows are read as {n_entries:,} events"
            )
        if n_empty:
            self._remarks.append(f"left out: {n_empty:,} rows whose {lists[0]!r} is empty")

    def _exploded(self, frame: pl.DataFrame, lists: list[str]) -> pl.DataFrame:
        try:
            return frame.explode(lists)
        except PolarsError:
            raise DataError(
                f"{self.where}: the lists in {' and '.join(map(repr, lists))} do not have the same "
                "length in every row; write one row per event"
            ) from None


def refuse_nested(frame: pl.DataFrame, first_row: int, where: str) -> None:
    """Raise if a text value is a JSON object or list.

    Raises:
        SchemaError: a value is one; the message has its row.
    """
    for column in frame.columns:
        if frame[column].dtype != pl.String:
            continue
        values = frame[column]
        texts = values.filter(values.str.contains(NESTED).fill_null(False))
        found = next(filter(_is_json, texts.unique(maintain_order=True)), None)
        if found is not None:
            at = int((values == found).fill_null(False).arg_max() or 0)
            raise SchemaError(
                f"{where}, row {first_row + at}: {column!r} has several values: {found[:60]!r}; "
                "write each value to its own key"
            )


def _is_json(text: str) -> bool:
    """Return whether a text is a JSON object or list, and not a text such as "[Promo] Mug"."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def unnested(table: TableReader, schema: Schema) -> TableReader:
    """Return the table, flattened if it has objects or lists."""
    return NestedTable(table, schema) if is_nested(schema) else table
