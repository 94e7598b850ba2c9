"""Where logs lie: tables in memory, Parquet files and folders, databases; read block by block."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
from polars.exceptions import PolarsError

from nearfar.abtest.requirements import check_database
from nearfar.core.errors import DataError, SettingsError

BLOCK_ROWS = 250_000

Chooser = Callable[[Sequence[str], str], Mapping[str, str]]
"""From the columns present and how messages name the source to role -> column."""


@dataclass(frozen=True)
class Query:
    """Rows of a database.

    Args:
        url: a SQLAlchemy URL; `${NAME}` in it stands for an environment variable, so that no
            password needs to be written down, percent-encoded where it is user or password. It
            is in no message.
        text: a SELECT, or the name of a table or view, as `events` or `web.events`.
    """

    url: str
    text: str

    def __repr__(self) -> str:
        return f"Query({self.text!r})"


Source = Path | str | pl.DataFrame | Query


@dataclass(frozen=True)
class Block:
    """Some rows of a source, columns under their roles' names.

    Args:
        frame: the rows.
        where: how messages name the source.
        first_row: the number of the first row, counted from 1.
    """

    frame: pl.DataFrame
    where: str
    first_row: int


def read_blocks(
    source: Source, choose: Chooser, *, block_rows: int = BLOCK_ROWS
) -> Iterator[Block]:
    """The chosen columns of a source, at most so many rows at a time.

    Raises:
        DataError: there is nothing there, or it cannot be read.
        SettingsError: the database's URL cannot be understood.
        MissingExtraError: a database is asked for and SQLAlchemy is not installed.
    """
    if isinstance(source, pl.DataFrame):
        yield from _of_frame(source, choose, block_rows)
    elif isinstance(source, Query):
        yield from _of_query(source, choose, block_rows)
    else:
        for path in parquet_files(Path(source)):
            yield from _of_parquet(path, choose, block_rows)


def parquet_files(path: Path) -> list[Path]:
    """The Parquet files at a path, in the order of their names; folders below are searched.

    Raises:
        DataError: there is none, or the path is of a CSV file.
    """
    if path.is_file():
        if path.name.lower().endswith((".csv", ".csv.gz")):
            raise DataError(f"{path}: CSV is not read; give Parquet or a database")
        return [path]
    found = sorted(p for p in path.rglob("*.parquet") if p.is_file() and not _is_hidden(p, path))
    if not found:
        told = "holds no .parquet file" if path.is_dir() else "does not exist"
        raise DataError(f"{path} {told}; give a Parquet file or a folder of them")
    return found


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)


def _of_frame(frame: pl.DataFrame, choose: Chooser, block_rows: int) -> Iterator[Block]:
    where = "the table"
    roles = choose(frame.columns, where)
    chosen = frame.select(pl.col(column).alias(role) for role, column in roles.items())
    for start in range(0, max(chosen.height, 1), block_rows):
        yield Block(chosen.slice(start, block_rows), where, start + 1)


def _of_parquet(path: Path, choose: Chooser, block_rows: int) -> Iterator[Block]:
    where = str(path)
    try:
        table = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        roles = choose(table.collect_schema().names(), where)
        chosen = table.select(pl.col(column).alias(role) for role, column in roles.items())
        n_rows = int(table.select(pl.len()).collect().item())
        for start in range(0, max(n_rows, 1), block_rows):
            yield Block(chosen.slice(start, block_rows).collect(), where, start + 1)
    except PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path} is no Parquet file that can be read ({reason})") from None


def _of_query(query: Query, choose: Chooser, block_rows: int) -> Iterator[Block]:
    check_database()
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    url = _url(query.url)
    where = f"{query.text!r} of the {url.get_backend_name()} database"
    file = url.database if url.get_backend_name() == "sqlite" else None
    if file and not file.startswith((":memory:", "file:")) and not Path(file).exists():
        raise DataError(f"{file} does not exist; give the file of an SQLite database")
    options = {"stream_results": True, "max_row_buffer": block_rows}
    try:
        # no pool: what is read once needs no connection kept
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        with (
            engine.connect().execution_options(**options) as connection,
            closing(connection.execute(_statement(query.text))) as result,
        ):
            names = list(result.keys())
            roles = choose(names, where)
            first = 1
            for rows in result.partitions(block_rows):
                yield Block(_frame(rows, names, roles), where, first)
                first += len(rows)
            if first == 1:
                yield Block(_frame([], names, roles), where, first)
    except (SQLAlchemyError, ImportError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        for secret in (str(url.password), quote(str(url.password), safe="")):
            reason = reason.replace(secret, "***") if url.password else reason
        raise DataError(f"{where} cannot be read: {reason}") from None


def _frame(rows: Sequence[Any], names: list[str], roles: Mapping[str, str]) -> pl.DataFrame:
    places = {role: names.index(column) for role, column in roles.items()}
    return pl.DataFrame(
        [pl.Series(role, [row[at] for row in rows], strict=False) for role, at in places.items()]
    )


def _statement(text: str) -> Any:
    import sqlalchemy

    words = text.strip().rstrip(";")
    if len(words.split()) > 1:
        return sqlalchemy.text(words)
    schema, _, name = words.rpartition(".")
    table = sqlalchemy.table(name, schema=schema or None)
    return sqlalchemy.select(sqlalchemy.text("*")).select_from(table)


def _url(text: str) -> Any:
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError

    start, end = text.find("://"), text.rfind("@")

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in os.environ:
            raise SettingsError(f"the database's URL names ${{{name}}}, which is not set")
        inside = 0 <= start < match.start() < end
        return quote(os.environ[name], safe="") if inside else os.environ[name]

    filled = re.sub(r"\$\{(\w+)\}", value, text)
    try:
        return sqlalchemy.make_url(filled)
    except (ArgumentError, ValueError):
        raise SettingsError(
            "the database's URL is of no form that SQLAlchemy knows; write it as "
            "sqlite:///events.db or postgresql+psycopg://user:${PASSWORD}@host/name"
        ) from None
