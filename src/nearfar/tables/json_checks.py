"""What a fast parser of JSON changes in silence: repeated keys, and digits of long fractions."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from nearfar.core.errors import DataError

LONG = r"^-?(?:[\d.]{16,}|[\d.]+e[+-]?\d+)$"
"""A number of so many digits that a float may not hold it."""
LONG_WHOLE_FRACTION = re.compile(rb"\d{16}\.\d|\d[eE]\+?\d")
KEY = re.compile(rb'("(?:[^"\\]|\\.)*")\s*:')
MAX_DIGITS = 38
"""Of whole numbers that the parser holds."""


def strict_loads(text: str | bytes) -> Any:
    """The value that JSON writes.

    Raises:
        ValueError: it is not JSON, or a number is NaN, infinite or beyond 38 digits.
    """
    return json.loads(text, parse_constant=_no_constant, parse_int=_whole)


def strict_decoder() -> json.JSONDecoder:
    """What decodes as `strict_loads` does."""
    return json.JSONDecoder(parse_constant=_no_constant, parse_int=_whole)


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is no value of JSON; write null where a value is missing")


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"{digits[:50]} is a number of {len(digits)} digits; write it in quotes")
    return int(digits)


class _Repeating(dict):
    """An object with keys that are repeated with other values."""

    repeated: dict[str, list[object]]


class _Fraction(str):
    """A number with a point or an exponent, as it is written."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    first: dict[str, object] = {}
    repeated: dict[str, list[object]] = {}
    for key, value in pairs:
        if first.setdefault(key, value) != value:
            repeated.setdefault(key, [first[key]]).append(value)
    if not repeated:
        return first
    found = _Repeating(first)
    found.repeated = repeated
    return found


def _loads(text: bytes) -> Any:
    return json.loads(text, object_pairs_hook=_object, parse_float=_Fraction)


class Checks:
    """Holds rows against the JSON that they were parsed from.

    Args:
        where: how messages name the table.
        schema: the types of the columns that are read.
        ids: columns whose values must keep every digit.
    """

    def __init__(self, where: str, schema: dict[str, pl.DataType], ids: Sequence[str]) -> None:
        self._where = where
        self._columns = list(schema)
        self._nested = any(kind.is_nested() for kind in schema.values())
        keys = dict.fromkeys([*schema, *_keys(schema.values())])
        self._keys = [json.dumps(key, ensure_ascii=False).encode() for key in keys]
        self._ids = [column for column in ids if schema[column] == pl.String]

    def refuse(
        self, frame: pl.DataFrame, first_row: int, block: bytes, lines: list[bytes] | None
    ) -> None:
        """Raise for a row that was not parsed as it is written.

        Args:
            frame: the rows.
            first_row: the number of the first one.
            block: what they were parsed from.
            lines: of the block, one per row; None for an array.

        Raises:
            DataError: an object repeats a key that is read, with another value, or an id is a
                fraction whose digits were lost; with its row.
        """
        suspect = self._with_long_fractions(frame, block)
        if not self._have_each_key_once(frame, block):
            rows = range(frame.height)
            suspect |= {at for at in rows if lines is None or self._may_repeat(lines[at])}
        if not suspect:
            return
        objects: Callable[[int], Any] = (
            json.loads(block, object_pairs_hook=_object, parse_float=_Fraction).__getitem__
            if lines is None
            else lambda at: _loads(lines[at])
        )
        for at in sorted(suspect):
            written = objects(at)
            for key, values in _repeated(written, self._columns):
                told = " and ".join(json.dumps(value)[:40] for value in values)
                raise DataError(
                    f"{self._where}, row {first_row + at}: an object has the key {key!r} more than "
                    f"once, with {told}; write each key once"
                )
            for column in self._ids:
                value, read = written.get(column), frame[column][at]
                if isinstance(value, _Fraction) and Decimal(value) != Decimal(read):
                    raise DataError(
                        f"{self._where}, row {first_row + at}: the id in {column!r} is the "
                        f"fraction {value}, which is not kept exactly; write it in quotes"
                    )

    def _may_repeat(self, line: bytes) -> bool:
        return any(line.count(key) > 1 for key in self._keys)

    def _have_each_key_once(self, frame: pl.DataFrame, block: bytes) -> bool:
        """Whether counting says so; False where it cannot tell."""
        if self._nested:
            return False
        return all(
            block.count(key) == frame.height - frame[column].null_count()
            for key, column in zip(self._keys, self._columns, strict=True)
        )

    def _with_long_fractions(self, frame: pl.DataFrame, block: bytes) -> set[int]:
        found: set[int] = set()
        for column in self._ids:
            long = frame[column].str.contains(LONG).fill_null(False)
            if not long.any():
                continue
            # A whole number that was written as a fraction has lost its point by now.
            if LONG_WHOLE_FRACTION.search(block) is None:
                long &= frame[column].str.contains("[.e]").fill_null(False)
            found |= set(long.arg_true())
        return found


def names_of(schema: dict[str, pl.DataType]) -> frozenset[str]:
    """The names of columns and of the keys inside of them."""
    return frozenset([*schema, *_keys(schema.values())])


def late_keys(block: bytes, lines: list[bytes] | None, known: frozenset[str]) -> Counter[str]:
    """Count the keys of a block that are none of the known ones.

    Args:
        block: the JSON.
        lines: of the block, one per object; None for an array.
        known: names of keys, at whatever depth.
    """
    written = [json.dumps(key, ensure_ascii=False).encode() for key in known]
    n_known = sum(block.count(key + colon) for key in written for colon in (b":", b" :"))
    if n_known == block.count(b'":') + block.count(b'" :'):
        return Counter()
    # Text may hold a colon after a quote too, so that the objects themselves decide.
    suspect = {key for key in KEY.findall(block) if key not in written}
    if not suspect:
        return Counter()
    objects = (
        json.loads(block)
        if lines is None
        else (json.loads(line) for line in lines if not suspect.isdisjoint(KEY.findall(line)))
    )
    return Counter(key for found in objects for key in _keys_of(found) if key not in known)


def _keys_of(value: Any) -> Iterator[str]:
    """The keys of an object and of those inside of it."""
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from _keys_of(inner)


def _keys(kinds: Any) -> Iterator[str]:
    """The keys of objects inside of columns of these types."""
    for kind in kinds:
        if isinstance(kind, pl.List):
            yield from _keys([kind.inner])
        elif isinstance(kind, pl.Struct):
            yield from (field.name for field in kind.fields)
            yield from _keys(field.dtype for field in kind.fields)


def _repeated(written: Any, columns: Sequence[str]) -> Iterator[tuple[str, list[object]]]:
    """The keys that an object repeats, of those that are read, and those inside of them."""
    if isinstance(written, _Repeating):
        yield from ((k, values) for k, values in written.repeated.items() if k in columns)
    for column in columns:
        yield from _repeated_inside(written.get(column))


def _repeated_inside(value: Any) -> Iterator[tuple[str, list[object]]]:
    if isinstance(value, _Repeating):
        yield from value.repeated.items()
    for inner in value.values() if isinstance(value, dict) else value if isinstance(
        value, list
    ) else ():  # fmt: skip
        yield from _repeated_inside(inner)
