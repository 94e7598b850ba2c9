"""Detect JSON that Polars misreads without an error: repeated keys, long fractions, new keys."""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from nearfar.core.errors import DataError

LONG = r"^-?(?:[\d.]{16,}|[\d.]+e[+-]?\d+)$"
"""A number with too many digits for a float."""
LONG_WHOLE_FRACTION = re.compile(rb"\d{16}\.\d|\d[eE]\+?\d")
KEY = re.compile(rb'("(?:[^"\\]|\\.)*")\s*:')
MAX_DIGITS = 38
"""The most digits of an integer that Polars parses."""


def strict_loads(text: str | bytes) -> Any:
    """Parse JSON, refusing numbers that Polars does not parse.

    Raises:
        ValueError: the text is not JSON, or a number is NaN, infinite or longer than 38 digits.
    """
    return json.loads(text, parse_constant=_refuse_constant, parse_int=_checked_int)


def strict_decoder() -> json.JSONDecoder:
    """Return a decoder with the checks of `strict_loads`."""
    return json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_checked_int)


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is not a JSON value; write null for a missing value")


def _checked_int(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise ValueError(
            f"{digits[:50]} has {len(digits)} digits, of at most {MAX_DIGITS}; write it in quotes"
        )
    return int(digits)


@contextlib.contextmanager
def refuse_deep(where: str) -> Iterator[None]:
    """Raise a DataError if JSON inside a with statement is nested too deeply for Python.

    Args:
        where: the table's name in messages.
    """
    try:
        yield
    except RecursionError:
        raise DataError(
            f"{where}: objects or lists are nested hundreds of levels deep; write an object per "
            "event, with the user and the item as values"
        ) from None


class _RepeatedKeys(dict):
    """An object that has some keys more than once, with different values."""

    repeated: dict[str, list[object]]


class _Fraction(str):
    """The text of a number with a point or an exponent."""


def _object_with_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    first: dict[str, object] = {}
    repeated: dict[str, list[object]] = {}
    for key, value in pairs:
        if first.setdefault(key, value) != value:
            repeated.setdefault(key, [first[key]]).append(value)
    if not repeated:
        return first
    result = _RepeatedKeys(first)
    result.repeated = repeated
    return result


def _loads(text: bytes) -> Any:
    return json.loads(text, object_pairs_hook=_object_with_repeats, parse_float=_Fraction)


class JsonChecks:
    """Compare parsed rows with their JSON.

    Args:
        where: the table's name in messages.
        schema: the types of the columns that are read.
        ids: the columns whose values must keep every digit.
    """

    def __init__(self, where: str, schema: dict[str, pl.DataType], ids: Sequence[str]) -> None:
        self._where = where
        self._columns = list(schema)
        self._nested = any(kind.is_nested() for kind in schema.values())
        keys = dict.fromkeys([*schema, *_keys_in_types(schema.values())])
        self._keys = [json.dumps(key, ensure_ascii=False).encode() for key in keys]
        self._ids = [column for column in ids if schema[column] == pl.String]

    def refuse(
        self, frame: pl.DataFrame, first_row: int, block: bytes, lines: list[bytes] | None
    ) -> None:
        """Raise if a parsed row differs from its JSON.

        Args:
            frame: the parsed rows.
            first_row: the number of the first row.
            block: the JSON of the rows.
            lines: the lines of the block, one per row; None for an array.

        Raises:
            DataError: an object has a key more than once, with different values, or an id is a
                fraction that lost digits; the message has the row's number.
        """
        suspects = self._with_long_fractions(frame, block)
        if not self._have_each_key_once(frame, block):
            rows = range(frame.height)
            suspects |= {at for at in rows if lines is None or self._may_repeat(lines[at])}
        if not suspects:
            return
        object_at: Callable[[int], Any] = (
            _loads(block).__getitem__ if lines is None else lambda at: _loads(lines[at])
        )
        for at in sorted(suspects):
            json_object = object_at(at)
            for key, values in _repeated_keys(json_object, self._columns):
                listed = " and ".join(json.dumps(value)[:40] for value in values)
                raise DataError(
                    f"{self._where}, row {first_row + at}: an object has the key {key!r} more than "
                    f"once, with {listed}; write each key once"
                )
            for column in self._ids:
                value, parsed = json_object.get(column), frame[column][at]
                if isinstance(value, _Fraction) and Decimal(value) != Decimal(parsed):
                    raise DataError(
                        f"{self._where}, row {first_row + at}: the id in {column!r} is the "
                        f"fraction {value}, which would lose digits; write it in quotes"
                    )

    def _may_repeat(self, line: bytes) -> bool:
        return any(line.count(key) > 1 for key in self._keys)

    def _have_each_key_once(self, frame: pl.DataFrame, block: bytes) -> bool:
        """Return whether the number of keys proves it; False if it proves nothing."""
        if self._nested:
            return False
        return all(
            block.count(key) == frame.height - frame[column].null_count()
            for key, column in zip(self._keys, self._columns, strict=True)
        )

    def _with_long_fractions(self, frame: pl.DataFrame, block: bytes) -> set[int]:
        rows: set[int] = set()
        for column in self._ids:
            long = frame[column].str.contains(LONG).fill_null(False)
            if not long.any():
                continue
            # A whole number written as a fraction ("12.0") has lost its point in the frame.
            if LONG_WHOLE_FRACTION.search(block) is None:
                long &= frame[column].str.contains("[.e]").fill_null(False)
            rows |= set(long.arg_true())
        return rows


def names_of(schema: dict[str, pl.DataType]) -> frozenset[str]:
    """Return the names of the columns and of the keys nested in them."""
    return frozenset([*schema, *_keys_in_types(schema.values())])


def late_keys(block: bytes, lines: list[bytes] | None, known: frozenset[str]) -> Counter[str]:
    """Count the keys of a block that are not known.

    Args:
        block: the JSON.
        lines: the lines of the block, one per object; None for an array.
        known: the known keys, at any depth.
    """
    known_keys = [json.dumps(key, ensure_ascii=False).encode() for key in known]
    n_known = sum(block.count(key + colon) for key in known_keys for colon in (b":", b" :"))
    if n_known == block.count(b'":') + block.count(b'" :'):
        return Counter()
    # A text value may contain a quote and a colon, so parse the objects that may have new keys.
    candidates = {key for key in KEY.findall(block) if key not in known_keys}
    if not candidates:
        return Counter()
    objects = (
        json.loads(block)
        if lines is None
        else (json.loads(line) for line in lines if not candidates.isdisjoint(KEY.findall(line)))
    )
    return Counter(key for value in objects for key in _keys_in_value(value) if key not in known)


def _keys_in_value(value: Any) -> Iterator[str]:
    """Yield the keys of an object and of the objects nested in it."""
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from _keys_in_value(inner)


def _keys_in_types(dtypes: Any) -> Iterator[str]:
    """Yield the keys of the objects nested in columns of these types."""
    for dtype in dtypes:
        if isinstance(dtype, pl.List):
            yield from _keys_in_types([dtype.inner])
        elif isinstance(dtype, pl.Struct):
            yield from (field.name for field in dtype.fields)
            yield from _keys_in_types(field.dtype for field in dtype.fields)


def _repeated_keys(row: Any, columns: Sequence[str]) -> Iterator[tuple[str, list[object]]]:
    """Yield the repeated keys of a row and their values: columns that are read, and nested keys."""
    if isinstance(row, _RepeatedKeys):
        yield from ((k, values) for k, values in row.repeated.items() if k in columns)
    for column in columns:
        yield from _nested_repeated_keys(row.get(column))


def _nested_repeated_keys(value: Any) -> Iterator[tuple[str, list[object]]]:
    if isinstance(value, _RepeatedKeys):
        yield from value.repeated.items()
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _nested_repeated_keys(inner)
