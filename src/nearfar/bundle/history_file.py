"""Reads histories from a file: a table of users and items, or JSON lines.

The rows of a user may be anywhere, so the whole file is read, but as integer codes. This takes at
most twenty bytes per row while the matrix is built and eight afterwards, plus the users' ids.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from nearfar.bundle.histories import HasItems
from nearfar.core.errors import DataError
from nearfar.core.identity import MISSING_WORDS, id_text, of_integers
from nearfar.data.id_coder import IdCoder
from nearfar.data.id_remarks import remarks_on_ids
from nearfar.data.interactions import canonical
from nearfar.data.plain_events import PlainEvents
from nearfar.tables.columns import Columns
from nearfar.tables.raw import RawFiles
from nearfar.tables.report import ReadReport
from nearfar.tables.roles import HISTORY_ROLES, PLAIN_ROLES
from nearfar.tables.rows import TableRows
from nearfar.tables.rules import RowRules
from nearfar.tables.table import ReadOptions, open_table, read_rows

CHUNK_USERS = 16_384
JSON_BLOCK_BYTES = 4 << 20
TABLES = (".csv", ".tsv", ".parquet", ".pq")
JSON_LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True, eq=False)
class HistoryChunk:
    """Some users with their histories, and the number of their items unknown to the bundle."""

    user_ids: pl.Series
    histories: csr_array
    n_unknown: int


def read_histories(
    bundle: HasItems,
    path: str | Path,
    *,
    user: str | None = None,
    item: str | None = None,
    kind: str | None = None,
    outcome: str | None = None,
    chunk_users: int = CHUNK_USERS,
    options: ReadOptions | None = None,
    report: ReadReport | None = None,
) -> Iterator[HistoryChunk]:
    """Read the histories in a file, at most `chunk_users` at a time.

    Each user is returned once, in order of first appearance, even if its rows are not adjacent.
    Rows that are not interactions, as in `read_log` (an impression, a refund, `clicked` 0), add
    the user but not the item.

    Args:
        bundle: its items are the columns of the histories.
        path: .csv, .tsv or .parquet with a user and an item column (a row without an item adds
            only the user); or .jsonl of {"user": ..., "items": [...]}. Text may be compressed
            (.gz).
        user, item, kind, outcome: names of columns; by default recognised by usual names. "" for
            the kind or the outcome keeps the items of all rows.
        chunk_users: maximum number of users per chunk.
        options: how to read the file.
        report: filled with the format, columns and counts of the file.

    Raises:
        DataError: the file cannot be read; the message names the row or line.

    Examples:
        >>> pl.DataFrame({"user": ["u", "u"], "item": [0, 3]}).write_csv("histories.csv")
        >>> [len(chunk.user_ids) for chunk in nf.read_histories(bundle, "histories.csv")]
        [1]
    """
    if chunk_users < 1:
        raise DataError(f"chunk_users is {chunk_users}; it must be at least 1")
    path = Path(path)
    options = options or ReadOptions(rules=RowRules(has_options=False))
    report = report or ReadReport(str(path))
    suffix = PurePath(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in (*TABLES, *JSON_LINES):
        raise DataError(
            f"{path} ends in {suffix!r}; histories are read from .csv, .tsv, .parquet or .jsonl"
        )
    files = RawFiles(path, max_expansion=options.max_expansion)
    if files.kind != "file":
        raise DataError(f"{path} is not a file; name one file of histories")
    if suffix in JSON_LINES:
        report.format = "JSON lines"
        report.columns = {"user": "user", "item": "items"}
        blocks, typed = _json_blocks(files, options, report), True
    else:
        table = open_table(files, files.names[0], options)
        report.format = "a table of histories"
        names = Columns(user, item, kind=kind, outcome=outcome)
        blocks = _only_event_items(
            read_rows(
                [table], (*HISTORY_ROLES, *PLAIN_ROLES), vars(names), options.rules, report,
                needed=("user",),
            ),
            PlainEvents(report, names),
        )  # fmt: skip
        typed = table.typed
    coder = IdCoder("user", typed=typed, literal=options.rules.literal_ids)
    return _chunks(bundle, blocks, coder, chunk_users, report)


def _only_event_items(
    blocks: Iterator[TableRows], plain_events: PlainEvents
) -> Iterator[TableRows]:
    """Yield the rows; the item is null in rows that are not interactions."""
    for block in blocks:
        rows, no_event = plain_events.read(block.frame)
        if no_event is not None:
            item = pl.when(~no_event).then(pl.col("item"))
            rows = rows.with_columns(item.alias("item"))
        yield replace(block, frame=rows)


def _chunks(
    bundle: HasItems,
    blocks: Iterator[TableRows],
    coder: IdCoder,
    chunk_users: int,
    report: ReadReport,
) -> Iterator[HistoryChunk]:
    """Group the rows by user and yield the histories, `chunk_users` at a time."""
    first_rows = np.empty(0, np.int64)
    rows: list[np.ndarray] = []
    columns: list[np.ndarray] = []
    n_rows = 0
    for block in blocks:
        frame = block.frame if block.dropped is None else block.frame.filter(~block.dropped)
        codes = coder.encode(frame["user"]).to_numpy().astype(np.int32)
        first_rows = _first_rows(first_rows, codes, len(coder), n_rows)
        n_rows += frame.height
        rows.append(codes)
        positions = bundle.items.index(frame["item"]).astype(np.int32)
        # A row without an item is not an unknown item.
        positions[frame["item"].is_null().to_numpy()] = len(bundle.items)
        columns.append(positions)
    report.n_kept = n_rows
    vocabulary, merged = coder.vocabulary()
    if merged is not None:
        rows = [merged[r] for r in rows]
        merged_rows = np.full(len(vocabulary), n_rows, np.int64)
        np.minimum.at(merged_rows, merged, first_rows)
        first_rows = merged_rows
    order = np.argsort(first_rows)
    ranks = np.empty(len(order), np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    users = vocabulary.ids.gather(pl.Series(order))
    report.remarks += remarks_on_ids("user", users)
    matrix = _matrix([ranks[r] for r in _drained(rows)], columns, (len(users), len(bundle.items)))
    for start in range(0, len(users), chunk_users):
        chunk = matrix[start : start + chunk_users]
        unknown = int(chunk.data[chunk.indices == len(bundle.items) + 1].sum())
        histories = canonical(chunk[:, : len(bundle.items)])
        yield HistoryChunk(users.slice(start, chunk_users), histories, unknown)


def _first_rows(rows: np.ndarray, codes: np.ndarray, n_codes: int, first_row: int) -> np.ndarray:
    """Return the first row of each code, after one more block of rows.

    Args:
        rows: the first row of each code before the block.
        codes: the codes of the block.
        n_codes: number of codes including the block.
        first_row: row number of the block's first row.
    """
    n_before = len(rows)
    rows = np.concatenate([rows, np.empty(n_codes - n_before, np.int64)])
    new = np.flatnonzero(codes >= n_before)[::-1]
    rows[codes[new]] = first_row + new  # backwards, so that the first row is written last
    return rows


def _drained(arrays: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the arrays in order and empty the list, to release memory on the way."""
    arrays.reverse()
    while arrays:
        yield arrays.pop()


def _matrix(rows: list[np.ndarray], columns: list[np.ndarray], shape: tuple[int, int]) -> Any:
    """Return the counts per user and item, with two columns more: "no item" and unknown items.

    The lists are emptied on the way, because they are as long as the file.
    """
    n_rows, n_items = shape
    empty = np.empty(0, np.int32)
    row = np.concatenate([*rows, empty])
    rows.clear()
    column = np.concatenate([*columns, empty])
    columns.clear()
    column[column < 0] = n_items + 1
    ones = np.ones(len(row), np.int32)
    return csr_array((ones, (row, column)), shape=(n_rows, n_items + 2))


def _json_blocks(files: RawFiles, options: ReadOptions, report: ReadReport) -> Iterator[TableRows]:
    """Yield the rows (user, item) of JSON lines; a user without items has one null item."""
    name = files.names[0]
    where = files.where(name)
    size = min(options.block_bytes, JSON_BLOCK_BYTES)
    number, n_rows = 0, 0
    kind: type | None = None
    for block in files.blocks(name, size=size, encoding=options.text.encoding):
        users: list[int | str] = []
        items: list[str | None] = []
        for line in block.removesuffix(b"\n").split(b"\n"):
            number += 1
            if not line.strip():
                continue
            line_name = f"{where}, line {number}"
            user, values = _parsed(line, line_name)
            if kind is not None and type(user) is not kind:
                raise DataError(
                    f"{line_name}: the user is {user!r}; users before it are "
                    f"{'integers' if kind is int else 'text'}; write all users as one type"
                )
            kind = type(user)
            # An empty text stands for a value that cannot be an id: no vocabulary has it.
            texts = [id_text(value) or "" for value in values] or [None]
            users += [user] * len(texts)
            items += texts
        if users:
            ids = pl.Series("user", users)
            ids = of_integers(ids) if ids.dtype.is_integer() else ids
            frame = pl.DataFrame([ids, pl.Series("item", items, dtype=pl.String)])
            report.n_rows += frame.height
            yield TableRows(frame, n_rows + 1, None, where)
            n_rows += frame.height


def _parsed(line: bytes, where: str) -> tuple[int | str, list[Any]]:
    """Return the user and the items of a line."""
    try:
        value = json.loads(line)
        line.decode("utf-8").encode("utf-8")
        if b"\\ud" in line.lower():
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise DataError(
            f'{where} is not JSON ({error}); {{"user": ..., "items": [...]}} was expected'
        ) from None
    user = value.get("user") if isinstance(value, dict) else None
    items = value.get("items") if isinstance(value, dict) else None
    text = id_text(user)
    if text is None or text in MISSING_WORDS or not isinstance(items, list):
        excerpt = line[:80].decode(errors="replace")
        raise DataError(
            f"{where} is {excerpt!r}; an object with a 'user' (integer or text) and a list "
            "'items' was expected"
        )
    return text if isinstance(user, str) else int(text), items
