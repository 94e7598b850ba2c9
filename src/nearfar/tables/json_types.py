"""The types of columns for JSON values: text, and objects and lists of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import polars as pl

OBJECT, LIST, TEXT = "object", "list", "text"
Shape = tuple[str, tuple[Any, ...]] | str | None


def schema_of(rows: Iterable[Mapping[str, object]]) -> dict[str, pl.DataType]:
    """Return a type for each key of JSON objects, with text for the innermost values."""
    dtypes: dict[str, pl.DataType | None] = {}
    for row in rows:
        for key, value in row.items():
            dtypes[key] = _common_type(dtypes.get(key), _type(_shape(value)))
    return {key: _settled(dtype or pl.String()) for key, dtype in dtypes.items()}


def _shape(value: object) -> Shape:
    """Return the keys and the lists of a JSON value without its texts and numbers; None for null.

    Shapes are compared many times faster than Polars' types.
    """
    if isinstance(value, dict):
        return OBJECT, tuple((key, _shape(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return LIST, tuple(dict.fromkeys(map(_shape, value)))
    return None if value is None else TEXT


@lru_cache(maxsize=1024)
def _type(shape: Shape) -> pl.DataType | None:
    """Return the type of values of a shape, with text for the innermost ones; None for null.

    The type of a null inside an object is Null, so that a later row can have an object there.
    """
    if shape is None:
        return None
    if isinstance(shape, str):
        return pl.String()
    kind, parts = shape
    if not parts:
        # Without entries in any row it makes no column.
        return pl.Struct({}) if kind == OBJECT else pl.List(pl.Null())
    if kind == OBJECT:
        return pl.Struct({key: _type(inner) or pl.Null() for key, inner in parts})
    dtype: pl.DataType | None = None
    for inner in parts:
        dtype = _common_type(dtype, _type(inner))
    return pl.List(dtype or pl.String())


def _common_type(first: pl.DataType | None, second: pl.DataType | None) -> pl.DataType | None:
    """Return a type for values of both types; text if there is no other."""
    if first is None or second is None or first == second:
        return first if second is None else second
    if first == pl.Null:
        return second
    if second == pl.Null:
        return first
    if isinstance(first, pl.Struct) and isinstance(second, pl.Struct):
        fields: dict[str, pl.DataType] = {}
        for field in (*first.fields, *second.fields):
            dtype = _common_type(fields.get(field.name), field.dtype)  # pyright: ignore[reportArgumentType]
            fields[field.name] = dtype or pl.Null()
        return pl.Struct(fields)
    if isinstance(first, pl.List) and isinstance(second, pl.List):
        inner = _common_type(first.inner, second.inner)  # pyright: ignore[reportArgumentType]
        return pl.List(inner or pl.String())
    return pl.String()


def _settled(dtype: pl.DataType) -> pl.DataType:
    """Return a type with text for the values that are null in all rows."""
    if isinstance(dtype, pl.Struct):
        return pl.Struct({f.name: _settled(f.dtype) for f in dtype.fields})  # pyright: ignore[reportArgumentType]
    if isinstance(dtype, pl.List):
        return pl.List(_settled(dtype.inner))  # pyright: ignore[reportArgumentType]
    return pl.String() if dtype == pl.Null else dtype
