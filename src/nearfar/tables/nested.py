"""Flatten nested values: objects become columns, lists become rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import polars.selectors as cs
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError, SchemaError
from nearfar.tables.reader import DerivedTable, Numbers, TableReader

FEW_LISTS, MANY_LISTS, LONGEST_TUPLE = 5, 20, 4
NESTED = r"^\s*[\[{]"
Schema = Mapping[str, pl.DataType]


TYPE_KEYS = frozenset(
    {"S", "N", "BOOL", "L", "M", "SS", "NS", "string", "long", "int", "double", "float"}
    | {"stringValue", "integerValue", "doubleValue", "booleanValue", "timestampValue"}
    | {"referenceValue", "arrayValue", "mapValue"}
)
"""Keys for types in exports of DynamoDB and Firestore and in Avro's JSON: {"S": "u1"}."""


@dataclass(frozen=True)
class Place:
    """The place of a flat column's values in the nested table.

    Attributes:
        levels: the keys to the first list or to the values, from the column of the nested table;
            then, for each list, the keys from one of its entries to the next list or to the values.
    """

    levels: tuple[tuple[str, ...], ...]

    @property
    def root(self) -> str:
        """The column of the nested table."""
        return self.levels[0][0]

    @property
    def n_lists(self) -> int:
        """The number of lists, one inside another, on the way to the values."""
        return len(self.levels) - 1

    def column(self, depth: int) -> str:
        """Return a name for a level's lists, or for the values if `depth` is the number of lists.

        Lists that several places share have the same name.
        """
        return "\0".join(key for keys in self.levels[: depth + 1] for key in keys)

    def values(self, depth: int) -> pl.Expr:
        """Return the expression of a level's lists or values, in the rows of the list around it."""
        keys = self.levels[depth][1:] if depth == 0 else self.levels[depth]
        expression = pl.col(self.root if depth == 0 else self.column(depth - 1))
        for key in keys:
            expression = expression.struct.field(key)
        return expression


def places(schema: Schema) -> dict[str, Place]:
    """Return the places of a table's flat columns, by name.

    A column's name is its path ("properties.product_id"), without keys for types, such as those in
    MongoDB's exports ({"$oid": ...}).
    """
    by_name: dict[str, Place] = {}
    for root, kind in schema.items():
        for path, (first, *later) in _paths(kind):
            name = ".".join([root, *path])
            by_name.setdefault(name, Place(((root, *first), *later)))
    return by_name


def _paths(kind: object) -> Iterator[tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]]:
    """Yield the paths in a type: the keys for its name, and all keys between its lists."""
    if isinstance(kind, pl.List | pl.Array):
        for name, levels in _paths(kind.inner):
            yield name, ((), *levels)
    elif isinstance(kind, pl.Struct):
        for field in kind.fields:
            is_type = field.name.startswith("$") or field.name in TYPE_KEYS
            own_name = () if is_type and len(kind.fields) == 1 else (field.name,)
            for name, (first, *later) in _paths(field.dtype):
                yield (*own_name, *name), ((field.name, *first), *later)
    else:
        yield (), ((),)


def narrowed(schema: Schema, needed: Collection[Place]) -> dict[str, pl.DataType]:
    """Return the types of the needed columns, with the needed parts of objects only."""
    paths: dict[str, set[tuple[str, ...]]] = {}
    for place in needed:
        path = tuple(key for keys in place.levels for key in keys)
        paths.setdefault(place.root, set()).add(path[1:])
    return {root: _narrowed(schema[root], of_root) for root, of_root in paths.items()}


def _narrowed(kind: pl.DataType, paths: Collection[tuple[str, ...]]) -> pl.DataType:
    if isinstance(kind, pl.List):
        return pl.List(_narrowed(kind.inner, paths))  # pyright: ignore[reportArgumentType]
    if not isinstance(kind, pl.Struct):
        return kind
    later: dict[str, list[tuple[str, ...]]] = {}
    for first, *rest in paths:
        later.setdefault(first, []).append(tuple(rest))
    return pl.Struct(
        {f.name: _narrowed(f.dtype, later[f.name]) for f in kind.fields if f.name in later}  # pyright: ignore[reportArgumentType]
    )


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
        self._schema = schema
        self._places = places(schema)
        super().__init__(table, list(self._places))
        self.lists = {name: p.levels[:-1] for name, p in self._places.items() if p.n_lists}
        self.listed_values = {name for name in self.lists if not self._places[name].levels[-1]}
        self._may_have_tuples = True
        self._remarks: list[str] = []

    def tolerate(self, columns: Collection[str]) -> None:
        """Allow values of any type in columns."""
        self.lenient = frozenset(columns)

    @property
    def remarks(self) -> Sequence[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The remarks of the nested table, and a remark on lists."""
        return (*super().remarks, *self._remarks)

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        places = {name: self._places[name] for name in selected}
        needed = {place.root for name, place in places.items() if name not in self.lenient}
        self.table.tolerate({place.root for place in places.values()} - needed)
        self.table.narrow(narrowed(self._schema, places.values()))
        n_rows = n_entries = 0
        n_empty: Counter[str] = Counter()
        for frame, _ in self.table.blocks(list(dict.fromkeys(p.root for p in places.values()))):
            n_rows += frame.height
            values = self._flat(frame, places, n_empty)
            if not self.typed:
                refuse_nested(values.drop(self.lenient, strict=False), n_entries + 1, self.where)
            yield values, n_entries + 1
            n_entries += values.height
        if n_lists := _n_lists(places.values()):
            innermost = dict.fromkeys(
                place.column(n_lists - 1) for place in places.values() if place.n_lists == n_lists
            )
            verb = "holds" if len(innermost) == 1 else "hold"
            rows = "1 row is" if n_rows == 1 else f"{n_rows:,} rows are"
            self._remarks.append(
                f"{_listed(innermost)} {verb} lists: {rows} read as {n_entries:,} events"
            )
        self._remarks += [
            f"left out: {n:,} rows whose {_listed([column])} is empty"
            for column, n in n_empty.items()
            if n
        ]

    def _flat(
        self, frame: pl.DataFrame, places: Mapping[str, Place], n_empty: Counter[str]
    ) -> pl.DataFrame:
        """Return the values of the places, with a row per entry of the innermost lists."""
        for depth in range(_n_lists(places.values()) + 1):
            columns = {
                place.column(depth): place.values(depth)
                if depth <= place.n_lists
                else pl.col(place.column(place.n_lists))
                for place in places.values()
            }
            frame = frame.select(values.alias(name) for name, values in columns.items())
            lists = [p.column(depth) for p in places.values() if depth < p.n_lists]
            if lists:
                lists = list(dict.fromkeys(lists))
                if depth and self._may_have_tuples:
                    for p in places.values():
                        if depth < p.n_lists and not p.levels[depth]:
                            _refuse_tuples(frame[p.column(depth)], self.where)
                frame = frame.with_columns(cs.array().arr.to_list())
                empty = frame[lists[0]].list.len().fill_null(0) == 0
                n_empty[lists[0]] += int(empty.sum())
                frame = self._exploded(frame.filter(~empty), lists)
        self._may_have_tuples = False  # the first block shows it
        return frame.select(pl.col(p.column(p.n_lists)).alias(name) for name, p in places.items())

    def _exploded(self, frame: pl.DataFrame, lists: list[str]) -> pl.DataFrame:
        try:
            return frame.explode(lists)
        except PolarsError:
            raise DataError(
                f"{self.where}: the lists in {_listed(lists)} do not have the same "
                "length in every row; write one row per event"
            ) from None


def _refuse_tuples(lists: pl.Series, where: str) -> None:
    """Raise if lists inside a list look like an item and its rating or time: [[7, 5], [9, 4]].

    Lists of items, such as sessions, have different lengths, and the same items in all positions.

    Raises:
        DataError: all of many lists have the same few values, or no value is in two positions.
    """
    if lists.dtype.is_nested() and not isinstance(lists.dtype, pl.List):
        lists = lists.arr.to_list()
    lists = lists.drop_nulls()
    n_values = int(lists.list.len().max() or 0)  # pyright: ignore[reportArgumentType]
    if len(lists) < FEW_LISTS or not 1 < n_values <= LONGEST_TUPLE:
        return
    if (lists.list.len() != n_values).any() or lists.dtype.inner.is_nested():  # pyright: ignore[reportAttributeAccessIssue]
        return
    positions = [lists.list.get(at).cast(pl.String).drop_nulls() for at in range(n_values)]
    are_apart = sum(values.n_unique() for values in positions) == pl.concat(positions).n_unique()
    if are_apart or len(lists) >= MANY_LISTS:
        column = lists.name.replace("\0", ".")
        raise DataError(
            f"{where}: all lists in {column!r} have {n_values} values, such as "
            f"{lists[0].to_list()}, as if they were an item and its rating or time; write an "
            'object per event, such as {"item": 7, "rating": 5}'
        )


def _n_lists(places: Collection[Place]) -> int:
    """Return the number of lists, one inside another, around the innermost values."""
    return max((place.n_lists for place in places), default=0)


def _listed(columns: Iterable[str]) -> str:
    return " and ".join(repr(column.replace("\0", ".")) for column in columns)


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
