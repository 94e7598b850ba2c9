"""Read JSON lines in blocks, or one JSON array of objects, into columns of text."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import polars as pl
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError
from nearfar.tables.json_checks import JsonChecks, late_keys, names_of, strict_decoder, strict_loads
from nearfar.tables.nested import refuse_nested
from nearfar.tables.raw import BLOCK_BYTES, COMPRESSED, MAX_LINE_BYTES, RawFiles
from nearfar.tables.reader import Numbers, TableReader

JSON_LINES = r".*\.(?:jsonl|ndjson)"
ARRAY_OF_OBJECTS = re.compile(rb"\s*\[\s*\{\s*[\"}]")
MOST_KEYS = 20


def holds_json(files: RawFiles, name: str, encoding: str | None = None) -> bool:
    """Return whether a file has a JSON name, or begins like an object or an array of objects."""
    if re.fullmatch(rf"(?:{JSON_LINES}|.*\.json){COMPRESSED}", name, re.IGNORECASE):
        return True
    return files.sample(name, encoding).lstrip()[:1] == b"{" or _is_array(files, name, encoding)


def json_files_of_rows(files: RawFiles) -> list[str]:
    """Return the .json files that hold rows: JSON lines, or an array of objects.

    A file with one object, such as manifest.json or package.json, is included only if a file of
    several rows has the same keys, so that it is a part with one row.
    """
    names: list[str] = []
    single_objects: dict[str, frozenset[str]] = {}
    keys_of_rows: set[frozenset[str]] = set()
    for name in files.find_all(r".*\.json"):
        try:
            sample = files.sample(name).lstrip()
        except DataError:
            continue
        if ARRAY_OF_OBJECTS.match(sample):
            names.append(name)
            continue
        lines = _lines(sample)
        try:
            row = strict_loads(lines[0])
        except ValueError:
            continue
        if not isinstance(row, dict):
            continue
        if len(lines) == 1:
            single_objects[name] = frozenset(row)
        elif lines[1].lstrip().startswith(b"{"):
            names.append(name)
            keys_of_rows.add(frozenset(row))
    names += [name for name, keys in single_objects.items() if keys in keys_of_rows]
    return sorted(names)


def _is_array(files: RawFiles, name: str, encoding: str | None) -> bool:
    """Return whether a file begins like an array of objects."""
    return ARRAY_OF_OBJECTS.match(files.sample(name, encoding)) is not None


class JsonLinesTable(TableReader):
    """A JSON file, whose columns are the keys of the objects in its first bytes.

    Values become text, so that the rules for CSV files recognise ids, numbers and times. Null and
    an absent key are missing values.

    Args:
        files, name: the file.
        encoding: the encoding of the file; None for UTF-8.
        block_bytes: about how many bytes are parsed at a time.

    Raises:
        EmptyDataError: the file is empty.
        DataError: the file's start is not JSON objects.
    """

    kind = "a JSON lines"
    typed = False

    def __init__(
        self, files: RawFiles, name: str, encoding: str | None, block_bytes: int = BLOCK_BYTES
    ) -> None:
        self.where = files.where(name)
        self._files, self._name = files, name
        self._encoding, self._block_bytes = encoding, block_bytes
        sample = files.sample(name, encoding)
        self._is_array = sample.lstrip().startswith(b"[")
        dtypes: dict[str, pl.DataType | None] = {}
        for row in self._first_objects(sample):
            for key, value in row.items():
                dtypes[key] = _common_type(dtypes.get(key), _type(value))
        self.schema = {key: _settled(dtype or pl.String()) for key, dtype in dtypes.items()}
        self.columns = list(self.schema)

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        first = 1
        unread_keys: Counter[str] = Counter()
        known = names_of(self.schema)
        schema = {column: self.schema[column] for column in selected}
        needed = {c: dtype for c, dtype in schema.items() if c not in self.lenient}
        checks = JsonChecks(self.where, needed, [c for c in needed if c not in (numbers or {})])
        for block in self._json_blocks():
            lines = None if self._is_array else _lines(block)
            n_lines = None if lines is None else len(lines)
            if n_lines == 0:
                continue
            parse = pl.read_json if self._is_array else pl.read_ndjson
            try:
                frame = parse(io.BytesIO(block), schema=schema)
            except PolarsError as error:
                raise self._unreadable(block, first, str(error)) from None
            if n_lines not in (None, frame.height):
                raise self._unreadable(block, first, "a line has several objects")
            unread_keys += late_keys(block, lines, known)
            checks.refuse(frame, first, block, lines)
            refuse_nested(frame.select(list(needed)), first, self.where)
            yield frame, first
            first += frame.height

        if unread_keys:
            most_common = unread_keys.most_common(MOST_KEYS)
            listed = ", ".join(f"{key!r} {n:,} times" for key, n in most_common)
            self.remarks = [
                f"keys that the first rows of {self.where} lack are not read: {listed}; write a "
                "row with every key first"
            ]

    def _json_blocks(self) -> Iterator[bytes]:
        """Yield lines in blocks, or the whole array at once."""
        size = MAX_LINE_BYTES if self._is_array else self._block_bytes
        blocks = self._files.blocks(self._name, size=size, encoding=self._encoding)
        if not self._is_array:
            yield from blocks
            return
        parts = [next(blocks)]
        parts += blocks
        yield b"".join(parts)

    def _first_objects(self, sample: bytes) -> list[dict[str, object]]:
        """Return the objects in the file's first bytes."""
        if not self._is_array:
            end = sample.rfind(b"\n") + 1 or len(sample)
            return [self._object(line, n) for n, line in enumerate(_lines(sample[:end]), 1)]
        rows: list[dict[str, object]] = []
        objects = self._array_objects(sample)
        while True:
            try:
                rows.append(next(objects))
            except StopIteration:
                return rows
            except DataError:
                # The sample may end inside an object.
                if not rows:
                    raise
                return rows

    def _array_objects(self, text: bytes) -> Iterator[dict[str, object]]:
        """Yield the objects of an array; an error names the row."""
        array = text.decode("utf-8", errors="replace").lstrip()
        decoder, at, row = strict_decoder(), 1, 1
        while (start := re.compile(r"[\s,]*").match(array, at)) and array[
            start.end() : start.end() + 1
        ] not in "]":
            try:
                value, at = decoder.raw_decode(array, start.end())
            except ValueError as error:
                raise DataError(
                    f"{self.where}, row {row}: not JSON ({error}); {EXPECTED}"
                ) from None
            yield self._checked(value, row)
            row += 1

    def _object(self, line: bytes, row: int) -> dict[str, object]:
        try:
            value = strict_loads(line)
        except ValueError as error:
            if row == 1 and line.strip() == b"{":
                raise DataError(
                    f"{self.where}: the first object spans several lines; {EXPECTED}"
                ) from None
            raise DataError(f"{self.where}, row {row}: not JSON ({error}); {EXPECTED}") from None
        return self._checked(value, row)

    def _checked(self, value: object, row: int) -> dict[str, object]:
        if not isinstance(value, dict):
            raise DataError(
                f"{self.where}, row {row}: this is a {type(value).__name__}; {EXPECTED}"
            )
        return value

    def _unreadable(self, block: bytes, first: int, reason: str) -> DataError:
        try:
            if self._is_array:
                for _ in self._array_objects(block):
                    pass
            else:
                for row, line in enumerate(_lines(block), first):
                    self._object(line, row)
        except DataError as error:
            return error
        return DataError(f"{self.where}, rows from {first}: {reason}; {EXPECTED}")


EXPECTED = (
    'a JSON object per line was expected, such as {"user": 7, "item": 3}, or one array of such '
    "objects"
)


def _type(value: object) -> pl.DataType | None:
    """Return the type of a JSON value, with text for its innermost values; None for null.

    The type of a null inside an object is Null, so that a later row can have an object there.
    """
    if isinstance(value, dict):
        fields = {key: _type(inner) or pl.Null() for key, inner in value.items()}
        return pl.Struct(fields) if fields else None
    if isinstance(value, list):
        dtype: pl.DataType | None = None
        for inner in value:
            dtype = _common_type(dtype, _type(inner))
        return pl.List(dtype or pl.String()) if value else None
    return None if value is None else pl.String()


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


def _lines(block: bytes) -> list[bytes]:
    return [line for line in block.split(b"\n") if line.strip()]
