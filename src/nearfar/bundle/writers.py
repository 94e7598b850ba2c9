"""Recommendations into a file, part by part: CSV, TSV, JSON lines or Parquet."""

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
"""What a spreadsheet computes, and what it strips before it looks."""

SEPARATORS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (*SEPARATORS, ".jsonl", ".parquet")


class RankingWriter(ABC):
    """Takes the recommendations of some users at a time."""

    _user_type: pl.DataType | None = None

    def write(self, users: pl.Series, counts: np.ndarray, frame: pl.DataFrame) -> None:
        """Add users: their ids, how many rows each has in `frame`, and these rows.

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
        self._begun = False

    def _write(self, users: pl.Series, counts: np.ndarray, frame: pl.DataFrame) -> None:
        if "title" in frame.columns and not self._formulas:
            title = pl.col("title").cast(pl.String)
            harmless = pl.when(title.str.contains(FORMULA)).then(pl.lit("'") + title)
            frame = frame.with_columns(title=harmless.otherwise(title))
        text = frame.write_csv(separator=self._separator, include_header=not self._begun)
        self._file.write(text.encode())
        self._begun = True


class _JsonLines(RankingWriter):
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def _write(self, users: pl.Series, counts: np.ndarray, frame: pl.DataFrame) -> None:
        # Grouped by row and not by user: a user without rows has a line too, and one who is
        # listed twice has two.
        keys = ["item", "score", *(["title"] if "title" in frame.columns else [])]
        items = frame.select(
            pl.Series("row", np.repeat(np.arange(len(users)), counts), dtype=pl.Int64),
            pl.struct(keys).alias("items"),
        )
        lists = items.group_by("row").agg("items")
        people = pl.DataFrame(
            {"row": pl.Series(np.arange(len(users)), dtype=pl.Int64), "user": users}
        )
        lines = people.join(lists, on="row", how="left", maintain_order="left")
        nothing = pl.lit([], dtype=lines.schema["items"])
        lines = lines.select("user", pl.col("items").fill_null(nothing))
        self._file.write(lines.write_ndjson().encode())


class _Parquet(RankingWriter):
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._n_parts = 0

    def _write(self, users: pl.Series, counts: np.ndarray, frame: pl.DataFrame) -> None:
        frame.write_parquet(self._folder / f"part-{self._n_parts:08}.parquet")
        self._n_parts += 1

    def join(self) -> Path:
        """All parts as one file, in order."""
        parts = sorted(self._folder.glob("part-*"))
        whole = self._folder / "whole.parquet"
        frames = [pl.scan_parquet(p, glob=False, hive_partitioning=False) for p in parts]
        pl.concat(frames).sink_parquet(whole)
        return whole


def check_output(out: Path) -> None:
    """Refuse a file that could not be written, before anything is computed.

    Raises:
        DataError: the suffix is unknown, or a folder stands there.
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
    """A writer in the format that the suffix names; the file appears at the end, whole.

    Args:
        out: the file.
        formulas: whether titles in CSV and TSV that a spreadsheet would take for a formula stay
            as they are. Otherwise an apostrophe is put before them. Ids always stay.
    """
    check_output(out)
    suffix = out.suffix.lower()
    if suffix == ".parquet":
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".parts"))
        try:
            writer = _Parquet(folder)
            yield writer
            whole = writer.join()
            with whole.open("rb") as file:
                os.fsync(file.fileno())
            whole.replace(out)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    with atomic_file(out) as file:
        yield (
            _JsonLines(file)
            if suffix == ".jsonl"
            else _Delimited(file, SEPARATORS[suffix], formulas)
        )
