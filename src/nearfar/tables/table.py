"""A table with named columns, whatever holds it: text, Parquet or a frame in memory."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import polars as pl
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError
from nearfar.tables.clock import Clock
from nearfar.tables.columns import Role, resolve
from nearfar.tables.delimited import read_blocks
from nearfar.tables.dialect import Dialect, TextOptions, sniff
from nearfar.tables.raw import BLOCK_BYTES, RawFiles
from nearfar.tables.report import ReadReport
from nearfar.tables.rows import RowReader, TableRows
from nearfar.tables.rules import RowRules
from nearfar.tables.streams import MAX_EXPANSION

BATCH_ROWS = 2_000_000
TEXT = r".*\.(?:csv|tsv|txt|tab|dat)"
PARQUET = r".*\.(?:parquet|pq)"


Numbers = Mapping[str, type[pl.DataType]]
PARSED_AS: dict[str, type[pl.DataType]] = {"number": pl.Float64, "time": pl.Int64}


@dataclass(frozen=True)
class ReadOptions:
    """How to read a table.

    Attributes:
        text: how text files are written.
        rules: what to do with unreadable values.
        table: which file of a folder or archive to read, by its name or a pattern ("part-*.csv").
        max_expansion: how many times as long as a compressed file its content may be.
        block_bytes: about how many bytes are parsed at a time.

    Examples:
        >>> from nearfar.tables.table import ReadOptions
        >>> from nearfar.tables.dialect import TextOptions
        >>> n_characters = Path("plays.csv").write_text("user;item\\n1;7\\n")
        >>> nf.read_log("plays.csv", options=ReadOptions(text=TextOptions(separator=";"))).n_events
        1
    """

    text: TextOptions = field(default_factory=TextOptions)
    rules: RowRules = field(default_factory=RowRules)
    table: str | None = None
    max_expansion: int = MAX_EXPANSION
    block_bytes: int = BLOCK_BYTES


class TableReader(ABC):
    """A table whose rows are read in blocks.

    Attributes:
        where: how messages name it.
        columns: the names of its columns, in order.
        layout: separator, header and encoding of text, in words; empty for other formats.
        typed: whether columns have types of their own, so that text stays text.
        decimal_comma: whether "4,5" may be a number in it.
    """

    where: str
    columns: list[str]
    layout: str = ""
    typed: bool = True
    decimal_comma: bool = False

    @abstractmethod
    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        """Yield blocks of rows of columns, with the number of each block's first row.

        Args:
            selected: the columns.
            numbers: columns that text may be parsed to numbers of a type in.
        """


class TextTable(TableReader):
    """Delimited text.

    Args:
        files, name: the file.
        columns: the names of its columns, in order.
        dialect: how the text is cut.
        block_bytes: about how many bytes are parsed at a time.
    """

    typed = False

    def __init__(
        self,
        files: RawFiles,
        name: str,
        columns: list[str],
        dialect: Dialect,
        block_bytes: int,
    ) -> None:
        self.where = files.where(name)
        self.columns = columns
        self._files, self._name = files, name
        self._dialect, self._block_bytes = dialect, block_bytes

    @classmethod
    def sniffed(cls, files: RawFiles, name: str, options: ReadOptions) -> TextTable:
        """A text file whose columns and dialect are told by its start and the options."""
        dialect, columns = sniff(files, name, options.text)
        table = cls(files, name, columns, dialect, options.block_bytes)
        table.layout = str(dialect)
        table.decimal_comma = dialect.separator != ","
        return table

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        return read_blocks(
            self._files,
            self._name,
            self.columns,
            selected,
            self._dialect,
            self._block_bytes,
            numbers,
        )


class FrameTable(TableReader):
    """A Polars frame; of a lazy one only the columns selected are collected.

    Args:
        frame: the rows.
        where: how messages name it.
        sliced: collect a lazy frame in slices; only where that costs no more than once.
    """

    def __init__(
        self, frame: pl.DataFrame | pl.LazyFrame, where: str, *, sliced: bool = False
    ) -> None:
        self.where = where
        self._sliced = sliced
        self._frame = frame
        lazy = isinstance(frame, pl.LazyFrame)
        self.columns = frame.collect_schema().names() if lazy else frame.columns

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        rows = self._frame.select(selected)
        if isinstance(rows, pl.LazyFrame) and self._sliced:
            n_rows = int(rows.select(pl.len()).collect().item())
            for start in range(0, n_rows, BATCH_ROWS):
                yield rows.slice(start, BATCH_ROWS).collect(), start + 1
            return
        frame = rows.collect() if isinstance(rows, pl.LazyFrame) else rows
        for start in range(0, frame.height, BATCH_ROWS):
            yield frame.slice(start, BATCH_ROWS), start + 1


class ParquetTable(TableReader):
    """A Parquet file."""

    def __init__(self, files: RawFiles, name: str) -> None:
        self.where = files.where(name)
        with self._read_errors():
            if files.kind in ("zip", "tar") or name.lower().endswith(".gz"):
                with files.open(name) as stream:
                    self._rows = pl.read_parquet(io.BytesIO(stream.read())).lazy()
            else:
                path = files.path if files.kind == "file" else files.path / name
                self._rows = pl.scan_parquet(path, glob=False, hive_partitioning=False)
            self.columns = self._rows.collect_schema().names()

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        with self._read_errors():
            n_rows = int(self._rows.select(pl.len()).collect().item())
            for start in range(0, n_rows, BATCH_ROWS):
                yield self._rows.select(selected).slice(start, BATCH_ROWS).collect(), start + 1

    @contextmanager
    def _read_errors(self) -> Iterator[None]:
        try:
            yield
        except (PolarsError, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise DataError(
                f"{self.where} is a damaged Parquet file ({reason}); get it again"
            ) from None


def open_table(files: RawFiles, name: str, options: ReadOptions) -> TableReader:
    """The table in one file: Parquet if it is named or begins so, else text.

    Raises:
        DataError: it is neither, or is damaged or empty.
    """
    named_so = PurePosixPath(name.lower().removesuffix(".gz")).suffix in (".parquet", ".pq")
    if named_so or files.is_parquet(name):
        return ParquetTable(files, name)
    return TextTable.sniffed(files, name, options)


def read_rows(
    tables: Sequence[TableReader],
    roles: Sequence[Role],
    given: Mapping[str, str | None],
    rules: RowRules,
    report: ReadReport,
    *,
    needed: Sequence[str] = (),
    clock: Clock | None = None,
) -> Iterator[TableRows]:
    """The typed rows of tables that make one log.

    Args:
        tables: with the same columns.
        roles: the roles wanted.
        given: names of columns by role, as far as they are given.
        rules: what to do with unreadable values.
        report: is filled.
        needed: roles whose values must not be missing.
        clock: reads the times in the same way as in tables before; None for a new one.

    Raises:
        SchemaError: a column is missing or has a wrong type.
        DataError: a value cannot be read.
    """
    first = tables[0]
    columns = resolve(first.columns, first.where, roles, given)
    report.layout = report.layout or first.layout
    report.columns = columns
    used = dict.fromkeys(columns.values())
    report.unused_columns = [c for c in first.columns if c not in used]
    selected = list(used)
    numbers = {
        columns[role.name]: PARSED_AS[role.kind]
        for role in roles
        if role.name in columns and role.kind in PARSED_AS
    }
    if rules.time_format is not None:
        numbers.pop(columns.get("timestamp", ""), None)
    clock = clock or Clock(first.where, rules.time_unit, rules.time_format)
    for table in tables:
        reader = RowReader(
            table.where, roles, columns, rules, report, typed=table.typed,
            decimal_comma=table.decimal_comma, needed=needed, clock=clock,
        )  # fmt: skip
        for frame, first_row in table.blocks(selected, numbers):
            report.n_rows += frame.height
            yield reader.read(frame, first_row)
        reader.finish()
