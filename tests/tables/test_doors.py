"""One file gives the same ids and the same rows at every door."""

from __future__ import annotations

import sqlite3
from collections import Counter
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from scipy.sparse import csr_array

from nearfar.abtest.logs import read_logs
from nearfar.bundle.histories import histories_from_items
from nearfar.bundle.history_file import read_histories
from nearfar.core.identity import key_of
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.log import read_log
from nearfar.store.sources.csv import CSVEvents
from nearfar.store.sources.parquet import ParquetEvents
from nearfar.store.sources.sql import SQLEvents
from nearfar.tables.item_table import read_item_table

HEADER = "user, item,timestamp,title\n"
ROWS = [
    ("7", "101", "2024-05-01T10:00:00", 'Monitor 24" wide'),
    ("7.0", " 102", "2024-05-01T10:00:01.5", '"Lamp, tall\nand ""red"""'),
    (" 8", "101.0", "2024-05-01 12:00:02+02", 'TV 55" LED'),
    ("9", "103 ", "2024-05-01 10:00:03Z", '"Belt"'),
    ("8 ", "103", "2024-05-01T10:00:04", ""),
]
EVENTS = Counter([(7, 101), (7, 102), (8, 101), (9, 103), (8, 103)])
DAY = date(2024, 5, 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(HEADER + "".join(",".join(row) + "\n" for row in ROWS))
    return path


def test_a_log_a_pipeline_and_histories_have_the_same_events(path: Path) -> None:
    assert Counter(read_log(path).frame.select("user", "item").rows()) == EVENTS
    events = CSVEvents(str(path)).read(DAY, date(2024, 5, 2))
    assert Counter(events.select("user", "item").rows()) == EVENTS
    items = Vocabulary([101, 102, 103])
    (chunk,) = read_histories(Over(items), path)
    assert chunk.n_unknown == 0
    users = chunk.user_ids.to_list()
    entries = chunk.histories.tocoo()
    read = [(users[r], items.ids[int(c)]) for r, c in zip(entries.row, entries.col, strict=True)]
    assert Counter(read) == EVENTS


class Over:
    """Items for `read_histories`, without a model."""

    def __init__(self, items: Vocabulary) -> None:
        self.items, self.n_items = items, len(items)


def test_an_ab_analysis_counts_the_same_users(path: Path) -> None:
    exposures = read_logs(path, pl.DataFrame({"user": ["7"], "timestamp": [DAY]})).exposures
    expected = Counter(str(user) for user, _ in EVENTS.elements())
    assert dict(exposures.select("user", "views").rows()) == expected


def test_databases_and_parquet_hold_the_same(path: Path, tmp_path: Path) -> None:
    events = read_log(path).frame
    events.write_parquet(tmp_path / "log.parquet")
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute('CREATE TABLE events ("user", item, "timestamp")')
        connection.executemany("INSERT INTO events VALUES (?, ?, ?)", events.rows())
    connection.close()
    for source in (
        ParquetEvents(str(tmp_path / "log.parquet")),
        SQLEvents(f"sqlite:///{tmp_path / 'log.db'}", "events"),
    ):
        read = source.read(DAY, date(2024, 5, 2))
        assert Counter(read.select("user", "item").rows()) == EVENTS
    assert Counter(read_log(tmp_path / "log.parquet").frame.select("user", "item").rows()) == EVENTS


FACES = [
    (101, True), ("101", True), (" 101 ", True), ("101.0", True), (101.0, True),
    ("0101", False), ("+101", False), ("1e2", False), (101.5, False), ("101.5", False),
    (True, False), (None, False), ("", False),
]  # fmt: skip


@pytest.mark.parametrize(("face", "known"), FACES)
@pytest.mark.parametrize("integer", [True, False])
def test_one_id_has_the_same_faces_at_every_door(face, known, integer, tmp_path: Path) -> None:
    items = Vocabulary([101, 1] if integer else ["101", "a"])
    x, unknown = histories_from_items(Over(items), [[face]])
    assert isinstance(x, csr_array)
    assert (x.indices.tolist(), unknown.tolist()) == (([0], [0]) if known else ([], [1]))
    key = key_of(face, integer=integer)
    assert (key in items.ids.to_list() if key is not None else False) == known
    if isinstance(face, str) and face.strip():
        (tmp_path / "titles.csv").write_text(f"item,title\n{face},Film\n")
        details = read_item_table(tmp_path / "titles.csv")
        assert (items.index(details["item"]).tolist() == [0]) == known
