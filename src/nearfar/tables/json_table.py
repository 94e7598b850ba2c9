"""Read JSON lines in blocks, or other JSON objects at once, into columns of text."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import polars as pl
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError
from nearfar.tables.json_checks import (
    JsonChecks,
    late_keys,
    names_of,
    refuse_deep,
    strict_decoder,
    strict_loads,
)
from nearfar.tables.json_layouts import LayoutError, rows_of
from nearfar.tables.json_types import schema_of
from nearfar.tables.nested import places, refuse_nested
from nearfar.tables.raw import BLOCK_BYTES, MAX_LINE_BYTES, SAMPLE_BYTES, RawFiles
from nearfar.tables.reader import Numbers, TableReader

BETWEEN = re.compile(r"[\s,]*")
MOST_KEYS = 20


def _has_an_object_per_line(files: RawFiles, name: str, encoding: str | None) -> bool:
    """Return whether the first line is a whole value, and there are others."""
    samples = files.blocks(name, size=SAMPLE_BYTES, encoding=encoding)
    lines = [line for block in islice(samples, 2) for line in lines_of(block)]
    if len(lines) < 2 or lines[0].lstrip().startswith(b"["):
        return False
    try:
        strict_loads(lines[0])
    except ValueError:
        return False
    return True


class JsonTable(TableReader):
    """A JSON file, whose columns are the keys of the objects in its first bytes.

    It holds an object per line, an array of objects, or objects that span lines, such as one object
    with lists of all orders. Only JSON lines are read in blocks.

    Values become text, so that the rules for CSV files recognise ids, numbers and times. Null and
    an absent key are missing values.

    Args:
        files, name: the file.
        encoding: the encoding of the file; None for UTF-8.
        block_bytes: about how many bytes are parsed at a time.

    Attributes:
        holds_rows: whether there are several rows, or lists to make rows of; False for an object
            such as a manifest.

    Raises:
        EmptyDataError: the file is empty.
        DataError: the file's start is not JSON objects.
    """

    typed = False

    def __init__(
        self, files: RawFiles, name: str, encoding: str | None, block_bytes: int = BLOCK_BYTES
    ) -> None:
        self.where = files.where(name)
        self._files, self._name = files, name
        self._encoding, self._block_bytes = encoding, block_bytes
        with refuse_deep(self.where):
            self._has_lines = _has_an_object_per_line(files, name, encoding)
            self.kind = "a JSON lines" if self._has_lines else "a JSON"
            rows = self._first_objects(files.sample(name, encoding))
            self.schema = schema_of(rows)
        self._narrowed: Mapping[str, pl.DataType] = {}
        self.columns = list(self.schema)
        lists = any(place.n_lists for place in places(self.schema).values())
        self.holds_rows = lists or len(rows) > 1

    def narrow(self, schema: Mapping[str, pl.DataType]) -> None:
        """Parse only these parts of columns of objects and lists."""
        self._narrowed = schema

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        first = 1
        unread_keys: Counter[str] = Counter()
        known = names_of(self.schema)
        schema = {column: self._narrowed.get(column, self.schema[column]) for column in selected}
        needed = {c: dtype for c, dtype in schema.items() if c not in self.lenient}
        checks = JsonChecks(self.where, needed, [c for c in needed if c not in (numbers or {})])
        for block in self._json_blocks():
            lines = lines_of(block) if self._has_lines else None
            n_lines = None if lines is None else len(lines)
            if n_lines == 0:
                continue
            with refuse_deep(self.where):
                frame = self._parsed(block, first, schema, n_lines)
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

    def _parsed(
        self, block: bytes, first: int, schema: dict[str, pl.DataType], n_lines: int | None
    ) -> pl.DataFrame:
        """Return the rows of a block.

        Args:
            block: the JSON.
            first: the number of the first row.
            schema: the types of the columns to read.
            n_lines: the number of lines, if each is a row.
        """
        parse = pl.read_ndjson if self._has_lines else pl.read_json
        try:
            frame = parse(io.BytesIO(block), schema=schema)
        except PolarsError as error:
            raise self._unreadable(block, first, str(error)) from None
        if n_lines not in (None, frame.height):
            raise self._unreadable(block, first, "a line has several objects")
        return frame

    def _json_blocks(self) -> Iterator[bytes]:
        """Yield lines in blocks, or the array of all objects at once."""
        if self._has_lines:
            yield from self._files.blocks(
                self._name, size=self._block_bytes, encoding=self._encoding
            )
        else:
            yield self._array()

    def _array(self) -> bytes:
        """Return the array of all rows."""
        blocks = self._files.blocks(self._name, size=MAX_LINE_BYTES, encoding=self._encoding)
        text = b"".join(blocks)
        if text.lstrip().startswith(b"["):
            return text
        objects = [span for _, span in self._objects(text)]
        if len(objects) == 1:
            try:
                table = rows_of(objects[0])
            except LayoutError as error:
                raise DataError(f"{self.where}: {error}") from None
            if table is not None:
                rows, layout = table
                self.kind = f"a JSON ({layout})"
                return json.dumps(rows).encode()
        return b"[" + b",".join(objects) + b"]"

    def _first_objects(self, sample: bytes) -> list[dict[str, object]]:
        """Return the objects in the file's first bytes, at least one."""
        if self._has_lines:
            end = sample.rfind(b"\n") + 1 or len(sample)
            return [self._object(line, n) for n, line in enumerate(lines_of(sample[:end]), 1)]
        rows: list[dict[str, object]] = []
        # The sample may end inside an object.
        with contextlib.suppress(DataError):
            rows += (row for row, _ in self._objects(sample))
        return rows if len(rows) > 1 else [row for row, _ in self._objects(self._array())]

    def _objects(self, text: bytes) -> Iterator[tuple[dict[str, object], bytes]]:
        """Yield the objects of an array, or one after another, and their JSON; errors name rows."""
        decoded = text.decode("utf-8", errors="replace").strip()
        is_array = decoded.startswith("[")
        decoder, at, row = strict_decoder(), int(is_array), 1
        while start := BETWEEN.match(decoded, at):
            at = start.end()
            if is_array and decoded[at : at + 1] == "]":
                if at + 1 < len(decoded):
                    raise DataError(
                        f"{self.where}, row {row}: text follows the end of the array, such as "
                        f"{decoded[at + 1 :].strip()[:20]!r}; {EXPECTED}"
                    )
                return
            if at == len(decoded):
                return
            try:
                value, end = decoder.raw_decode(decoded, at)
            except ValueError as error:
                raise DataError(
                    f"{self.where}, row {row}: not JSON ({error}); {EXPECTED}"
                ) from None
            yield self._checked(value, row), decoded[at:end].encode()
            at, row = end, row + 1

    def _object(self, line: bytes, row: int) -> dict[str, object]:
        try:
            value = strict_loads(line)
        except ValueError as error:
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
            if self._has_lines:
                for row, line in enumerate(lines_of(block), first):
                    self._object(line, row)
            else:
                for _ in self._objects(block):
                    pass
        except DataError as error:
            return error
        return DataError(f"{self.where}, rows from {first}: {reason}; {EXPECTED}")


EXPECTED = (
    'JSON objects were expected, such as {"user": 7, "item": 3}, one per line, in an array or one '
    "after another"
)


def lines_of(block: bytes) -> list[bytes]:
    """Return the lines of a block that are not blank."""
    return [line for line in block.split(b"\n") if line.strip()]
