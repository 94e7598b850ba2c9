"""JSON: an object per line, block by block, or one array of objects; into columns of text."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import polars as pl
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError
from nearfar.tables.json_checks import Checks, late_keys, names_of, strict_decoder, strict_loads
from nearfar.tables.nested import refuse_nested
from nearfar.tables.raw import BLOCK_BYTES, COMPRESSED, MAX_LINE_BYTES, RawFiles
from nearfar.tables.reader import Numbers, TableReader

JSON_LINES = r".*\.(?:jsonl|ndjson)"
MOST_KEYS = 20


def holds_json(files: RawFiles, name: str, encoding: str | None = None) -> bool:
    """Whether a file is named as JSON, or its first line begins as an object does."""
    if re.fullmatch(rf"(?:{JSON_LINES}|.*\.json){COMPRESSED}", name, re.IGNORECASE):
        return True
    return files.sample(name, encoding).lstrip()[:1] == b"{" or _is_array(files, name, encoding)


def _is_array(files: RawFiles, name: str, encoding: str | None) -> bool:
    """Whether a file begins as an array of objects does."""
    return re.match(rb"\s*\[\s*\{\s*[\"}]", files.sample(name, encoding)) is not None


class JsonLinesTable(TableReader):
    """JSON lines: its columns are the keys of the objects in the file's start.

    Values become text as in a CSV file, so that the same rules tell ids, numbers and times; null
    and a key that is not there are missing values.

    Args:
        files, name: the file.
        encoding: of the file; None for UTF-8.
        block_bytes: about how many bytes are parsed at a time.

    Raises:
        EmptyDataError: the file is empty.
        DataError: its first line is no object.
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
        kinds: dict[str, pl.DataType | None] = {}
        for found in self._start(sample):
            for key, value in found.items():
                kinds[key] = _joined(kinds.get(key), _kind(value))
        self.schema = {key: kind or pl.String() for key, kind in kinds.items()}
        self.columns = list(self.schema)

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        first = 1
        late: Counter[str] = Counter()
        known = names_of(self.schema)
        schema = {column: self.schema[column] for column in selected}
        needed = {c: kind for c, kind in schema.items() if c not in self.lenient}
        checks = Checks(self.where, needed, [c for c in needed if c not in (numbers or {})])
        for block in self._texts():
            lines = None if self._is_array else _lines(block)
            n_lines = None if lines is None else len(lines)
            if n_lines == 0:
                continue
            read = pl.read_json if self._is_array else pl.read_ndjson
            try:
                frame = read(io.BytesIO(block), schema=schema)
            except PolarsError as error:
                raise self._unreadable(block, first, str(error)) from None
            if n_lines not in (None, frame.height):
                raise self._unreadable(block, first, "a line holds several objects")
            late += late_keys(block, lines, known)
            checks.refuse(frame, first, block, lines)
            refuse_nested(frame.select(list(needed)), first, self.where)
            yield frame, first
            first += frame.height

        if late:
            named = ", ".join(f"{key!r} {n:,} times" for key, n in late.most_common(MOST_KEYS))
            self.remarks = [
                f"keys of later rows in {self.where} are not read: {named}; put a row with every "
                "key first"
            ]

    def _texts(self) -> Iterator[bytes]:
        """Lines in blocks, or an array at once."""
        size = MAX_LINE_BYTES if self._is_array else self._block_bytes
        blocks = self._files.blocks(self._name, size=size, encoding=self._encoding)
        if not self._is_array:
            yield from blocks
            return
        parts = [next(blocks)]
        parts += blocks
        yield b"".join(parts)

    def _start(self, sample: bytes) -> list[dict[str, object]]:
        """The objects in the file's start."""
        if not self._is_array:
            end = sample.rfind(b"\n") + 1 or len(sample)
            return [self._object(line, n) for n, line in enumerate(_lines(sample[:end]), 1)]
        found: list[dict[str, object]] = []
        objects = self._of_array(sample)
        while True:
            try:
                found.append(next(objects))
            except StopIteration:
                return found
            except DataError:
                # The sample may end inside an object.
                if not found:
                    raise
                return found

    def _of_array(self, text: bytes) -> Iterator[dict[str, object]]:
        """The objects of an array, one after the other; raises with the row."""
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
            found = strict_loads(line)
        except ValueError as error:
            if row == 1 and line.strip() == b"{":
                raise DataError(
                    f"{self.where}: the first object runs over several lines; {EXPECTED}"
                ) from None
            raise DataError(f"{self.where}, row {row}: not JSON ({error}); {EXPECTED}") from None
        return self._checked(found, row)

    def _checked(self, found: object, row: int) -> dict[str, object]:
        if not isinstance(found, dict):
            raise DataError(
                f"{self.where}, row {row}: a {type(found).__name__} stands there; {EXPECTED}"
            )
        return found

    def _unreadable(self, block: bytes, first: int, reason: str) -> DataError:
        try:
            if self._is_array:
                for _ in self._of_array(block):
                    pass
            else:
                for row, line in enumerate(_lines(block), first):
                    self._object(line, row)
        except DataError as error:
            return error
        return DataError(f"{self.where}, rows from {first}: {reason}; {EXPECTED}")


EXPECTED = (
    'a JSON object per line was expected, as {"user": 7, "item": 3}, or one array of such objects'
)


def _kind(value: object) -> pl.DataType | None:
    """The type of a JSON value whose innermost values are read as text; None for null."""
    if isinstance(value, dict):
        fields = {key: _kind(inner) or pl.String() for key, inner in value.items()}
        return pl.Struct(fields) if fields else None
    if isinstance(value, list):
        kind: pl.DataType | None = None
        for inner in value:
            kind = _joined(kind, _kind(inner))
        return pl.List(kind or pl.String()) if value else None
    return None if value is None else pl.String()


def _joined(first: pl.DataType | None, second: pl.DataType | None) -> pl.DataType | None:
    """The type of values of two types; text where these do not go together."""
    if first is None or second is None or first == second:
        return first if second is None else second
    if isinstance(first, pl.Struct) and isinstance(second, pl.Struct):
        fields: dict[str, pl.DataType] = {}
        for field in (*first.fields, *second.fields):
            kind = _joined(fields.get(field.name), field.dtype)  # pyright: ignore[reportArgumentType]
            fields[field.name] = kind or pl.String()
        return pl.Struct(fields)
    if isinstance(first, pl.List) and isinstance(second, pl.List):
        inner = _joined(first.inner, second.inner)  # pyright: ignore[reportArgumentType]
        return pl.List(inner or pl.String())
    return pl.String()


def _lines(block: bytes) -> list[bytes]:
    return [line for line in block.split(b"\n") if line.strip()]
