"""Tables in memory (Polars, pandas, SciPy) and blocks of Parquet, made canonical."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import coo_array, issparse

from nearfar.core.errors import DataError, SchemaError
from nearfar.data.build import LogBuilder, beyond
from nearfar.data.columns import Columns
from nearfar.data.events import Log
from nearfar.data.filters import Filters
from nearfar.data.times import Clock

BATCH_ROWS = 2_000_000


def is_pandas(value: object) -> bool:
    """Whether this is a pandas DataFrame, told without importing pandas."""
    kind = type(value)
    return kind.__module__.partition(".")[0] == "pandas" and kind.__name__ == "DataFrame"


def from_polars(
    table: pl.DataFrame | pl.LazyFrame,
    columns: Columns,
    filters: Filters,
    name: str,
    items: pl.DataFrame | None = None,
) -> Log:
    """A log from a Polars frame; of a lazy one only the columns needed are collected."""
    lazy = isinstance(table, pl.LazyFrame)
    present = table.collect_schema().names() if lazy else table.columns
    roles = columns.resolve(present, name)
    chosen = table.select(roles.values())
    frame = chosen.collect() if isinstance(chosen, pl.LazyFrame) else chosen
    builder = LogBuilder(name, filters, typed=True)
    clock = Clock(name)
    for start in range(0, frame.height, BATCH_ROWS):
        batch = frame.slice(start, BATCH_ROWS)
        builder.add(canonical_block(batch, roles, clock, name, start + 1), start + 1)
    return builder.log(items)


def from_pandas(
    table: Any, columns: Columns, filters: Filters, name: str, items: pl.DataFrame | None = None
) -> Log:
    """A log from a pandas frame.

    Raises:
        SchemaError: an id column mixes numbers and text.
    """
    roles = columns.resolve([str(c) for c in table.columns], name)
    by_name = {str(c): c for c in table.columns}
    series = {c: _series(table[by_name[c]], c, name) for c in roles.values()}
    return from_polars(pl.DataFrame(series), Columns(**roles), filters, name, items)


def _series(column: Any, label: str, name: str) -> pl.Series:
    values = column.to_numpy()
    if isinstance(values, np.ndarray) and values.dtype.kind in "iufb":
        return pl.Series(label, values)
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        return pl.Series(label, values.astype("datetime64[us]"))
    objects = [None if _is_missing(v) else v for v in column.tolist()]
    kinds = {type(v) for v in objects if v is not None}
    numbers = {k for k in kinds if issubclass(k, int | float | np.number)}
    if kinds - numbers and numbers:
        found = ", ".join(sorted(k.__name__ for k in kinds))
        raise SchemaError(
            f"{name}: column {label!r} mixes types ({found}); make it all integers or all text"
        )
    try:
        return pl.Series(label, objects)
    except (TypeError, OverflowError):
        raise SchemaError(
            f"{name}: column {label!r} holds {', '.join(sorted(k.__name__ for k in kinds))} "
            "values that are neither text nor numbers of 64 bits"
        ) from None


def _is_missing(value: object) -> bool:
    return value is None or value != value or type(value).__name__ in ("NAType", "NaTType")


def from_sparse(x: Any, filters: Filters, name: str, items: pl.DataFrame | None = None) -> Log:
    """A log from a SciPy sparse matrix: ids are row and column numbers, in row order.

    Values are ratings, unless all are one; stored zeros are no events.
    """
    assert issparse(x)
    entries = coo_array(x)
    met = entries.data != 0
    rows, cols, data = entries.row[met], entries.col[met], entries.data[met]
    order = np.lexsort((cols, rows))
    frame = pl.DataFrame({"user": rows[order].astype("i8"), "item": cols[order].astype("i8")})
    if not (data == 1).all():
        frame = frame.with_columns(rating=pl.Series(data[order].astype(np.float64)))
    return from_polars(frame, Columns(), filters, name, items)


def canonical_block(
    frame: pl.DataFrame, roles: dict[str, str], clock: Clock, name: str, first_row: int = 1
) -> pl.DataFrame:
    """Rows with the columns of `roles` under their roles' names, ids Int64 or String.

    Raises:
        DataError: a value is not of the kind that its role needs.
    """
    result = []
    for role, column in roles.items():
        values = frame[column].rename(role)
        if role in ("user", "item"):
            values = _ids(values, column, name, first_row)
        elif role == "timestamp":
            values = clock.seconds(values, first_row)
        else:
            values = _numbers(values, column, name, first_row)
        result.append(values.rename(role))
    return pl.DataFrame(result)


def _ids(values: pl.Series, column: str, name: str, first_row: int) -> pl.Series:
    kind = values.dtype
    if kind.is_integer():
        numbers = values.cast(pl.Int64, strict=False)
        if numbers.null_count() > values.null_count():
            bad = numbers.is_null() & values.is_not_null()
            raise beyond(values.name, values.filter(bad)[0])
        return numbers
    if kind == pl.String:
        return values
    if kind in (pl.Categorical, pl.Enum):
        return values.cast(pl.String)
    if kind == pl.Null:
        raise DataError(f"{name}, row {first_row}: the {values.name} is missing")
    raise SchemaError(
        f"{name}: {values.name} ids in column {column!r} are {kind}; make them integers or text"
    )


def _numbers(values: pl.Series, column: str, name: str, first_row: int) -> pl.Series:
    if values.dtype.is_numeric() or values.dtype == pl.Boolean:
        return values.cast(pl.Float64)
    if values.dtype == pl.String:
        numbers = values.cast(pl.Float64, strict=False)
        bad = numbers.is_null() & values.is_not_null()
        if bad.any():
            row = int(bad.arg_max() or 0)
            raise DataError(
                f"{name}, row {first_row + row}: {column} is {values[row]!r}; a number was expected"
            )
        return numbers
    raise SchemaError(f"{name}: column {column!r} is {values.dtype}; numbers were expected")
