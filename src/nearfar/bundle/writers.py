"""Writes recommendations to a file in chunks: CSV, TSV, JSON lines or Parquet."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl

from nearfar.core.errors import DataError
from nearfar.core.files import atomic_file

FORMULA = r"^[=+\-@\t\r]"
"""Beginnings of formulas in spreadsheets, and of texts that become one once they are stripped."""

SEPARATORS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (*SEPARATORS, ".jsonl", ".parquet")


class RankingWriter(ABC):
    """Writes the recommendations of some users at a time."""

    _user_type: pl.DataType | None = None

    def write(self, users: pl.Series, counts: np.ndarray, frame: pl.DataFrame) -> None:
        """Write the recommendations of some users.

        Args:
            users: their ids.
            counts: number of rows of each user in `frame`.
            frame: the rows, in the order of the users.

        Raises:
            DataError: the ids are text and those before were integers, or the reverse.
        """
        if self._user_type is not None and users.dtype != self._user_type:
            raise DataError(
                f"user ids are {users.dtype} after {self._user_type}; give all chunks one type"
            )
        self._user_type = users.dtype
        self._write(users, counts, frame)

    @abstractmethod
    def _write(self, users: pl.Series, counts: np.ndarray, frame: pl.DataFrame) -> None: ...


class _Delimited(RankingWriter):
    def __init__(self, file: IO[bytes], separator: str, formulas: bool) -> None:
        self._file = file
        self._separator = separator
        self._formulas = formulas
        self._header_written = False

    def _write(self, users: pl.Series, counts: np.ndarray, frame: pl.DataFrame) -> None:
        if "title" in frame.columns and not self._formulas:
            title = pl.col("title").cast(pl.String)
            escaped = pl.when(title.str.contains(FORMULA)).then(pl.lit("'") + title)
            frame = frame.with_columns(title=escaped.otherwise(title))
        text = frame.write_csv(separator=self._separator, include_header=not self._header_written)
        self._file.write(text.encode())
        self._header_written = True


class _JsonLines(RankingWriter):
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def _write(self, users: pl.Series, counts: np.ndarray, frame: pl.DataFrame) -> None:
        # Grouped by position, not by user id: a user without rows has a line too, and a user who
        # is listed twice has two.
        keys = ["item", "score", *(["title"] if "title" in frame.columns else [])]
        items = frame.select(
            pl.Series("row", np.repeat(np.arange(len(users)), counts), dtype=pl.Int64),
            pl.struct(keys).alias("items"),
        )
        lists = items.group_by("row").agg("items")
        lines = pl.DataFrame(
            {"row": pl.Series(np.arange(len(users)), dtype=pl.Int64), "user": users}
        ).join(lists, on="row", how="left", maintain_order="left")
        empty = pl.lit([], dtype=lines.schema["items"])
        lines = lines.select("user", pl.col("items").fill_null(empty))
        self._file.write(lines.write_ndjson().encode())


class _Parquet(RankingWriter):
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._n_parts = 0

    def _write(self, users: pl.Series, counts: np.ndarray, frame: pl.DataFrame) -> None:
        frame.write_parquet(self._folder / f"part-{self._n_parts:08}.parquet")
        self._n_parts += 1

    def join(self) -> Path:
        """Return one file with all parts in order."""
        parts = sorted(self._folder.glob("part-*"))
        joined = self._folder / "whole.parquet"
        frames = [pl.scan_parquet(p, glob=False, hive_partitioning=False) for p in parts]
        pl.concat(frames).sink_parquet(joined)
        return joined


def check_output(out: Path) -> None:
    """Refuse a file that cannot be written, before anything is computed.

    Raises:
        DataError: the suffix is unknown, or `out` is a folder.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise DataError(
            f"{out} ends in {out.suffix!r}; recommendations are written as .csv (or .tsv), .jsonl "
            "or .parquet"
        )
    if out.is_dir():
        raise DataError(f"{out} is a folder; name a file")


@contextlib.contextmanager
def open_writer(out: Path, *, formulas: bool = False) -> Iterator[RankingWriter]:
    """Open a writer in the format of the suffix; the file is written atomically.

    Args:
        out: the file.
        formulas: whether to keep titles in CSV and TSV that a spreadsheet would run as a formula.
            Otherwise they get an apostrophe in front. Ids are never changed.
    """
    check_output(out)
    suffix = out.suffix.lower()
    if suffix == ".parquet":
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".parts"))
        try:
            writer = _Parquet(folder)
            yield writer
            joined = writer.join()
            with joined.open("rb") as file:
                os.fsync(file.fileno())
            joined.replace(out)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    with atomic_file(out) as file:
        yield (
            _JsonLines(file)
            if suffix == ".jsonl"
            else _Delimited(file, SEPARATORS[suffix], formulas)
        )
