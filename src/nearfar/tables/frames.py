"""Read frames and matrices in memory (Polars, pandas, Arrow, SciPy) as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from polars.exceptions import PolarsError
from scipy.sparse import coo_array, issparse

from nearfar.core.errors import DataError, SchemaError
from nearfar.tables.nested import unnested
from nearfar.tables.reader import Numbers, TableReader
from nearfar.tables.table import FrameTable

PANDAS = ("DataFrame", "Series")


def is_pandas(value: object) -> bool:
    """Return whether a value is a pandas DataFrame or Series, without importing pandas."""
    cls = type(value)
    return cls.__module__.partition(".")[0] == "pandas" and cls.__name__ in PANDAS


def frame_table(source: Any, where: str | None = None) -> TableReader:
    """Return data in memory as a table.

    Args:
        source: a Polars, pandas or Arrow frame, a SciPy sparse matrix, a dictionary of columns, or
            a list of dictionaries. Named levels of a pandas index become columns. A matrix becomes
            the columns user and item (row and column numbers, in row order) and rating, unless all
            values are one; stored zeros are no events.
        where: the table's name in messages.

    Raises:
        DataError: the object is none of these.
        SchemaError: a column mixes numbers and text.
    """
    if is_pandas(source):
        table = PandasTable(source, where or "the frame")
        return unnested(table, table.nested)
    if (frame := _as_frame(source)) is not None:
        polars = FrameTable(frame, where or "the frame")
        return unnested(polars, polars.schema)
    if issparse(source):
        return FrameTable(_matrix_frame(source), where or "the matrix")
    raise DataError(
        f"a log cannot be read from a {type(source).__name__}; give a path, the name of a data "
        "set, a Polars, pandas or Arrow frame, a SciPy sparse matrix, a dictionary of columns or "
        "a list of dictionaries"
    )


def _as_frame(source: Any) -> pl.DataFrame | pl.LazyFrame | None:
    """Convert to a Polars frame; None for objects that Polars does not accept.

    Raises:
        SchemaError: the columns have values of several types or different lengths.
    """
    if isinstance(source, pl.DataFrame | pl.LazyFrame):
        return source
    rows = isinstance(source, list) and bool(source) and all(isinstance(r, Mapping) for r in source)
    if not rows and not isinstance(source, dict) and not hasattr(source, "__arrow_c_stream__"):
        return None
    if isinstance(source, pl.Series):
        return None
    try:
        return pl.DataFrame(source, infer_schema_length=None) if rows else pl.DataFrame(source)
    except (PolarsError, TypeError, OverflowError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise SchemaError(
            f"the columns are not a table ({reason}); give each column values of one type, and "
            "all columns the same length"
        ) from None


class PandasTable(TableReader):
    """A pandas frame. Only the selected columns are converted."""

    def __init__(self, frame: Any, where: str) -> None:
        self.where = where
        frame = frame.to_frame() if type(frame).__name__ == "Series" else frame
        columns = {str(c) for c in frame.columns}
        levels = [n for n in frame.index.names if n is not None and str(n) not in columns]
        frame = frame.reset_index(level=levels) if levels else frame
        self.columns = [str(c) for c in frame.columns]
        self._frame = frame
        self.nested = {c: self._nested_type(at, c) for at, c in enumerate(self.columns)}

    def _nested_type(self, at: int, label: str) -> pl.DataType:
        """Return the type of a column of lists or objects, and text for any other column."""
        column = self._frame.iloc[:, at]
        first = column.dropna().head(1).tolist() if column.dtype == object else []
        if first and isinstance(first[0], list | tuple | dict | np.ndarray):
            return _series(column, label, self.where).dtype
        return pl.String()

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        series = [self._values(self.columns.index(c), c) for c in selected]
        yield from FrameTable(pl.DataFrame(series), self.where).blocks(selected)

    def _values(self, at: int, label: str) -> pl.Series:
        column = self._frame.iloc[:, at]
        try:
            return _series(column, label, self.where)
        except SchemaError:
            if label not in self.lenient:
                raise
        return pl.repeat(None, len(column), dtype=pl.String, eager=True).alias(label)


def _series(column: Any, label: str, where: str) -> pl.Series:
    if hasattr(column.dtype, "numpy_dtype") and column.isna().any():
        # With a missing value pandas would return floats, which do not hold all integers.
        integers = [None if _is_missing(v) else v for v in column.astype(object).tolist()]
        return pl.Series(label, integers)
    values = column.to_numpy()
    if isinstance(values, np.ndarray) and values.dtype.kind in "iufb":
        return pl.Series(label, values)
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        return pl.Series(label, values.astype("datetime64[us]"))
    objects = [None if _is_missing(v) else v for v in column.tolist()]
    types = {type(v) for v in objects if v is not None}
    number_types = {t for t in types if issubclass(t, int | float | np.number)}
    listed = ", ".join(sorted(t.__name__ for t in types))
    if types - number_types and number_types:
        raise SchemaError(
            f"{where}: column {label!r} mixes types ({listed}); make it all integers or all text"
        )
    times = [v for v in objects if isinstance(v, datetime)]
    with_zone = [v for v in times if v.tzinfo is not None]
    if with_zone and len(with_zone) < len(times):
        # As text, times without a zone are counted.
        objects = [v.isoformat() if isinstance(v, datetime) else v for v in objects]
    try:
        return pl.Series(label, objects, strict=number_types != types)
    except (TypeError, OverflowError):
        raise SchemaError(
            f"{where}: column {label!r} has {listed} values that are neither text nor numbers of "
            "64 bits; make it all integers or all text"
        ) from None


def _is_missing(value: object) -> bool:
    return (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, float) and value != value)
    )


def _matrix_frame(x: Any) -> pl.DataFrame:
    entries = coo_array(x)
    nonzero = entries.data != 0
    rows, cols, data = entries.row[nonzero], entries.col[nonzero], entries.data[nonzero]
    order = np.lexsort((cols, rows))
    frame = pl.DataFrame({"user": rows[order].astype("i8"), "item": cols[order].astype("i8")})
    if not (data == 1).all():
        frame = frame.with_columns(rating=pl.Series(data[order].astype(np.float64)))
    return frame
