"""JSON lines (an object per line), block by block, into columns of text."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence

import polars as pl
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError, SchemaError
from nearfar.tables.raw import BLOCK_BYTES, RawFiles
from nearfar.tables.reader import Numbers, TableReader

JSON_LINES = r".*\.(?:jsonl|ndjson)"
NESTED = r"^\s*[\[{]"


def holds_json(files: RawFiles, name: str, encoding: str | None = None) -> bool:
    """Whether a file is named as JSON, or its first line begins as an object does."""
    if re.fullmatch(rf"(?:{JSON_LINES}|.*\.json)(?:\.gz)?", name, re.IGNORECASE):
        return True
    return files.sample(name, encoding).lstrip().startswith(b"{")


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
        end = sample.rfind(b"\n") + 1 or len(sample)
        keys: dict[str, None] = {}
        for n, line in enumerate(_lines(sample[:end]), 1):
            keys.update(dict.fromkeys(self._object(line, n)))
        self.columns = list(keys)

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        first = 1
        schema = dict.fromkeys(selected, pl.String)
        for block in self._files.blocks(
            self._name, size=self._block_bytes, encoding=self._encoding
        ):
            n_lines = len(_lines(block))
            if not n_lines:
                continue
            try:
                frame = pl.read_ndjson(io.BytesIO(block), schema=schema)
            except PolarsError as error:
                raise self._unreadable(block, first, str(error)) from None
            if frame.height != n_lines:
                raise self._unreadable(block, first, "a line holds several objects")
            for column in selected:
                nested = frame[column].str.contains(NESTED).fill_null(False)
                if nested.any():
                    row = first + int(nested.arg_max() or 0)
                    raise SchemaError(
                        f"{self.where}, row {row}: {column!r} is not one value but "
                        f"{frame[column][row - first][:60]!r}; write it as a key of its own"
                    )
            yield frame, first
            first += frame.height

    def _object(self, line: bytes, row: int) -> dict[str, object]:
        try:
            found = json.loads(line)
        except ValueError as error:
            raise DataError(f"{self.where}, row {row}: not JSON ({error}); {EXPECTED}") from None
        if not isinstance(found, dict):
            raise DataError(
                f"{self.where}, row {row}: a {type(found).__name__} stands there; {EXPECTED}"
            )
        return found

    def _unreadable(self, block: bytes, first: int, reason: str) -> DataError:
        for row, line in enumerate(_lines(block), first):
            try:
                self._object(line, row)
            except DataError as error:
                return error
        return DataError(f"{self.where}, rows from {first}: {reason}; {EXPECTED}")


EXPECTED = (
    'a JSON object per line was expected, as {"user": 7, "item": 3}; of one array '
    "jq -c '.[]' makes such lines"
)


def _lines(block: bytes) -> list[bytes]:
    return [line for line in block.split(b"\n") if line.strip()]
