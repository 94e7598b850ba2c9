"""Logs from a real PostgreSQL server, read in blocks on the server's side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks import postgres
from nearfar.abtest.logs import read_logs
from nearfar.abtest.sources import Query, open_sources
from nearfar.core.errors import DataError
from tests.abtest.cases import clicks, exposures

SEEN = exposures(
    ("u1", "a", 0, "home", 2), ("u2", "b", 0, "movie", 1), ("u2", None, -1, "home", 4),
)  # fmt: skip
DONE = clicks(("u1", 0, "home", 30.5), ("u2", 0, "movie", None))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server with SEEN and DONE, whose clocks are not UTC; the address names its password."""
    reason = postgres.why_not()
    if reason is not None:
        pytest.skip(reason)
    import psycopg

    with postgres.running(fsync="off", timezone="Asia/Tokyo") as server:
        with psycopg.connect(server.plain_url) as connection:
            connection.execute(
                'CREATE TABLE seen ("user" text, arm text, timestamp timestamptz, card text, '
                "views numeric)"
            )
            connection.execute(
                'CREATE TABLE done ("user" text, timestamp timestamp, card text, '
                "play_seconds double precision)"
            )
            for row in SEEN.iter_rows():
                connection.execute(
                    "INSERT INTO seen VALUES (%s, %s, %s AT TIME ZONE 'UTC', %s, %s)", row
                )
            for row in DONE.iter_rows():
                connection.execute("INSERT INTO done VALUES (%s, %s, %s, %s)", row)
        yield server.url.replace("postgresql://", "postgresql+psycopg://")


def test_tables_are_as_frames(url: str) -> None:
    """Moments with a zone and without, numbers as NUMERIC, a password full of signs."""
    found = read_logs(Query(url, "seen"), Query(url, "public.done"))
    expected = read_logs(SEEN, DONE)
    assert found.exposures.equals(expected.exposures)
    assert found.clicks.equals(expected.clicks)


def test_the_server_hands_out_blocks(url: str) -> None:
    query = Query(url, "SELECT n FROM generate_series(1, 5) n")
    (blocks,) = (list(table.blocks(["n"])) for table in open_sources(query, block_rows=2))
    assert [frame["n"].to_list() for frame, _ in blocks] == [[1, 2], [3, 4], [5]]


def test_errors_name_no_password(url: str, monkeypatch) -> None:
    monkeypatch.setenv(postgres.PASSWORD_VARIABLE, "s3cr@t/of:mine")
    with pytest.raises(DataError, match="password authentication failed") as told:
        read_logs(Query(url, "seen"), DONE)
    assert "s3cr" not in str(told.value)
