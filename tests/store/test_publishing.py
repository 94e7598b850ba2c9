"""A day is whole for whoever reads it, whatever happens to who writes it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from nearfar.core.errors import ArtefactError, DataError
from nearfar.store.sinks.parquet import ParquetRecommendations
from nearfar.store.sinks.sink import RecommendationSink, make_sink
from nearfar.store.sinks.sql import SQLRecommendations
from tests.store.cases import (
    DAY,
    SCORED,
    expected,
    recommendations,
    settings_of,
    write,
    write_and_fail,
)
from tests.store.publishing import PART_ROWS, SIZES, day_of, part_of
from tests.threads import Threads
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
Settings = tuple[str, dict[str, str]]


@pytest.fixture(params=["parquet", "sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = request.getfixturevalue("postgres").url if request.param == "postgres" else None
    return settings_of(request.param, tmp_path, url, f"r{uuid4().hex[:10]}")


@pytest.fixture
def sink(settings: Settings) -> RecommendationSink:
    return make_sink(*settings)


@contextlib.contextmanager
def process(mode: str, settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """A process of `publishing`; killed at the end at the latest."""
    command = [sys.executable, "-m", "tests.store.publishing", mode, settings[0],
               json.dumps(settings[1])]  # fmt: skip
    started = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield started
    finally:
        started.kill()
        _, told = started.communicate()
        assert "Error" not in told, told


def next_line(started: subprocess.Popen[str]) -> str:
    assert started.stdout is not None
    return started.stdout.readline().strip()


def test_killed_while_writing_the_old_day_stands_and_safe_parts_are_kept(
    settings: Settings, sink: RecommendationSink
) -> None:
    old = recommendations(["a", "b"])
    write(sink, DAY, old)
    with process("write", settings) as started:
        while next_line(started) != "2":
            assert started.poll() is None
        time.sleep(0.01)  # into part 3, or a little beyond
    assert_frame_equal(sink.read(DAY), expected(old))
    with sink.writing(DAY, "new", scored_at=SCORED, resume=True) as writer:
        safe = writer.parts
        assert safe[:3] == [0, 1, 2]
        assert safe == list(range(len(safe)))
        assert_frame_equal(sink.read(DAY), expected(old))
        writer.write(part_of(len(safe)), len(safe))
    wanted = pl.concat([part_of(i) for i in range(len(safe) + 1)])
    assert_frame_equal(sink.read(DAY), expected(wanted, "new"))
    assert sink.read(DAY).height == PART_ROWS * (len(safe) + 1)


def version_of(rows: pl.DataFrame) -> str:
    """The one version that a day is of; it is whole."""
    (version,) = rows["model_version"].unique()
    assert rows.height == SIZES[version]
    assert rows["item"].unique().to_list() == [version]
    return version


@pytest.mark.slow
def test_killed_while_publishing_one_day_or_the_other_stands(
    settings: Settings, sink: RecommendationSink
) -> None:
    chance = random.Random(4)
    found = Counter[str]()
    for _ in range(8):
        with process("publish", settings) as started:
            assert next_line(started) in SIZES
            time.sleep(chance.uniform(0, 0.1))
        found[version_of(sink.read(DAY))] += 1
        assert sink.dates() == [DAY]
    write(sink, DAY, recommendations(["a"]))
    assert_frame_equal(sink.read(DAY), expected(recommendations(["a"])))
    assert found.total() == 8


class Readers(Threads):
    """Threads that read a day over and over, and what they saw.

    Args:
        read: reads the day and tells its version, checked to be whole; None where it had to try
            again.
        n: how many.
    """

    def __init__(self, read: Any, n: int = 2) -> None:
        self.seen = Counter[str | None]()
        self.errors: list[BaseException] = []
        self._read = read
        super().__init__(self._run, n)

    def _run(self, _: int) -> None:
        try:
            while not self.over.is_set():
                self.seen[self._read()] += 1
        except BaseException as error:
            self.errors.append(error)

    def wait_for(self, what: str, seconds: float = PATIENCE) -> None:
        """Wait until a reader sees this from now on: an event, not luck."""
        before, end = self.seen[what], time.monotonic() + seconds
        while self.seen[what] == before:
            assert not self.errors, self.errors
            assert time.monotonic() < end, f"nobody saw {what}"
            time.sleep(0.001)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        assert not self.errors, self.errors


def publish_often(sink: RecommendationSink, times: int = 12) -> None:
    for version in [*SIZES] * (times // 2):
        with sink.writing(DAY, version, scored_at=SCORED) as writer:
            writer.write(day_of(version)[::2])
            writer.write(day_of(version)[1::2])


@pytest.mark.slow
def test_readers_see_one_day_or_the_other(sink: RecommendationSink) -> None:
    write(sink, DAY, day_of("small-3000"), "small-3000")
    with Readers(lambda: version_of(sink.read(DAY))) as readers:
        publish_often(sink)
    assert set(readers.seen) == set(SIZES)


@pytest.mark.slow
def test_readers_see_a_day_or_none_while_it_comes_and_goes(sink: RecommendationSink) -> None:
    whole = expected(recommendations(["a", "b"]))

    def read() -> str:
        try:
            rows = sink.read(DAY)
        except DataError as error:
            return str(error).partition(" of ")[0]
        assert_frame_equal(rows, whole)
        return "whole"

    with Readers(read) as readers:
        for number in range(15):
            # The first time each state stays until it was seen; then they race.
            write(sink, DAY, recommendations(["a", "b"]))
            if not number:
                readers.wait_for("whole")
            sink.delete(DAY)
            if not number:
                readers.wait_for("no recommendations")
    assert set(readers.seen) == {"no recommendations", "whole"}


def test_other_programs_see_the_latest_day_whole_in_postgres(postgres: Any) -> None:
    import psycopg

    table = f"r{uuid4().hex[:10]}"
    sink = SQLRecommendations(postgres.url, table)
    frame = day_of("small-3000")
    write(sink, DAY, frame)
    query = f"SELECT count(*) FROM {table} WHERE date = (SELECT max(date) FROM {table}_days)"

    def read() -> str:
        with psycopg.connect(postgres.plain_url, autocommit=True) as connection:
            seen = {connection.execute(query).fetchall()[0][0] for _ in range(20)}
        (n,) = seen
        return str(n)

    with Readers(read) as readers:
        for later in range(1, 7):
            write(sink, DAY + timedelta(days=later), frame)
    assert set(readers.seen) == {"3000"}
    assert len(sink.dates()) == 7


def test_other_programs_see_one_day_or_the_other_in_postgres(postgres: Any) -> None:
    import psycopg

    table = f"r{uuid4().hex[:10]}"
    sink = SQLRecommendations(postgres.url, table)
    write(sink, DAY, day_of("small-3000"), "small-3000")
    query = f"SELECT model_version, count(*) FROM {table} WHERE date = %s GROUP BY 1"

    def read() -> str:
        with psycopg.connect(postgres.plain_url) as connection:
            found = connection.execute(query, (DAY,)).fetchall()
        ((version, n),) = found
        assert n == SIZES[version]
        return version

    with Readers(read) as readers:
        publish_often(sink)
    assert set(readers.seen) == set(SIZES)


@pytest.mark.slow
def test_other_programs_see_one_day_or_the_other_in_parquet(tmp_path: Path) -> None:
    sink = ParquetRecommendations(str(tmp_path))
    write(sink, DAY, day_of("small-3000"), "small-3000")

    def read() -> str | None:
        try:
            files = sorted(tmp_path.glob(f"date={DAY}/*.parquet"))
            rows = pl.concat([pl.read_parquet(f, hive_partitioning=False) for f in files])
        except (OSError, ValueError):
            return None  # replaced between the listing and the reading
        return version_of(rows)

    with Readers(read) as readers:
        publish_often(sink, times=30)
    assert set(readers.seen) - {None} == set(SIZES)


def test_what_other_programs_read_is_what_is_published(tmp_path: Path) -> None:
    sink = ParquetRecommendations(str(tmp_path))
    frame = recommendations(["a", "b", "c"])
    for day in (DAY, DAY + timedelta(days=1)):
        write(sink, day, recommendations(["old"]), "v0")
        write(sink, day, frame)
    with pytest.raises(KeyError):
        write_and_fail(sink, "v2", [frame], KeyError())
    read = pl.read_parquet(f"{tmp_path}/date=*/*.parquet", hive_partitioning=True)
    assert read.height == 2 * frame.height
    assert read["date"].unique().sort().to_list() == [DAY, DAY + timedelta(days=1)]
    assert set(read["model_version"]) == {"v1"}


def folders(root: Path) -> list[str]:
    return sorted(p.name for p in (root / ".days" / str(DAY)).iterdir())


def test_parquet_keeps_the_day_before_for_readers_and_no_more(tmp_path: Path) -> None:
    sink = ParquetRecommendations(str(tmp_path))
    for i in range(1, 5):
        write(sink, DAY, recommendations([f"u{i}"]), f"v{i}")
    assert folders(tmp_path) == [
        "00003-v3", "00004-v4", "published.00003-v3", "published.00004-v4",
    ]  # fmt: skip
    assert (tmp_path / f"date={DAY}").readlink() == Path(f".days/{DAY}/00004-v4")
    sink.delete(DAY)
    assert not any((tmp_path / ".days").iterdir())


@pytest.mark.slow
def test_parquet_after_a_crash_at_every_step_of_publishing_and_deleting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change to the file system may be the last one."""
    old, new = recommendations(["old"]), recommendations(["new"])

    class Crash(BaseException):
        pass

    def crashing(after: int) -> Any:
        """Lets so many changes happen, and no more."""
        left = [after]

        def wrap(name: str) -> None:
            original = getattr(Path, name)

            def changed(self: Path, *rest: Any, **more: Any) -> Any:
                if not left[0]:
                    raise Crash
                left[0] -= 1
                return original(self, *rest, **more)

            patch.setattr(Path, name, changed)

        for name in ("rename", "replace", "unlink", "symlink_to", "touch", "mkdir"):
            wrap(name)

    outcomes = Counter[str]()
    for act in ("publish", "delete"):
        for after in range(30):
            root = tmp_path / f"{act}-{after}"
            sink = ParquetRecommendations(str(root))
            write(sink, DAY, recommendations(["older"]), "v0")
            write(sink, DAY, old)
            over = False
            with monkeypatch.context() as patch:
                crashing(after)
                try:
                    if act == "publish":
                        write(sink, DAY, new, "v2")
                    else:
                        sink.delete(DAY)
                    over = True
                except Crash:
                    pass
            if sink.dates():
                rows = sink.read(DAY)
                state = rows["user"][0]
                wanted = expected(old) if state == "old" else expected(new, "v2")
                assert_frame_equal(rows, wanted)
            else:
                state = "gone"
                assert act == "delete"
            outcomes[f"{act} {state}"] += 1
            with sink.writing(DAY, "v1", scored_at=SCORED, resume=True) as writer:
                assert writer.parts == []  # what was published is not taken for parts
                writer.write(old)
            assert_frame_equal(sink.read(DAY), expected(old))
            if over:
                break
        else:
            raise AssertionError("30 steps were not enough")
    assert set(outcomes) == {"publish old", "publish new", "delete old", "delete gone"}


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    foreign = tmp_path / f"date={DAY}"
    foreign.mkdir()
    (foreign / "theirs.parquet").write_bytes(b"x")
    sink = ParquetRecommendations(str(tmp_path))
    for attempt in (
        lambda: write(sink, DAY, recommendations(["a"])),
        lambda: sink.read(DAY),
        lambda: sink.delete(DAY),
    ):
        with pytest.raises(ArtefactError, match="was not written by nearfar"):
            attempt()
    assert (foreign / "theirs.parquet").exists()


def test_a_table_of_other_ids_is_left_alone(tmp_path: Path, postgres: Any) -> None:
    table = f"r{uuid4().hex[:10]}"
    for url in (f"sqlite:///{tmp_path}/r.db", postgres.url):
        write(SQLRecommendations(url, table), DAY, recommendations(["a"]))
        other = SQLRecommendations(url, table, ids="integer")
        with pytest.raises(DataError, match="keeps ids as"), other.writing(DAY, "v2"):
            pass
        assert SQLRecommendations(url, table).read(DAY).height == 3


def test_one_process_writes_a_day_of_postgres(postgres: Any, monkeypatch: Any) -> None:
    from nearfar.store.sinks import _postgres_table

    monkeypatch.setattr(_postgres_table, "LOCK_SECONDS", 1)
    sink = SQLRecommendations(postgres.url, f"r{uuid4().hex[:10]}")
    with sink.writing(DAY, "v1") as first:
        with pytest.raises(DataError, match="another process writes"), sink.writing(DAY, "v1"):
            pass
        with sink.writing(DAY + timedelta(days=1), "v1") as other:
            other.write(recommendations(["b"]))
        first.write(recommendations(["a"]))
    assert len(sink.dates()) == 2


def test_what_a_killed_process_had_asked_of_postgres_does_not_hold_the_day(postgres: Any) -> None:
    settings = "sql", {"url": postgres.url, "table": f"r{uuid4().hex[:10]}"}
    with process("sleep", settings) as started:
        assert next_line(started) == "asleep"
        time.sleep(0.3)
    write(make_sink(*settings), DAY, recommendations(["a"]))


@pytest.mark.slow
def test_a_reader_that_holds_the_table_is_waited_for_and_then_told(postgres: Any) -> None:
    import psycopg

    table = f"r{uuid4().hex[:10]}"
    sink = SQLRecommendations(postgres.url, table, lock_seconds=0.1, publish_seconds=1.0)
    old, new = recommendations(["a"]), recommendations(["b"])
    write(sink, DAY, old)
    with psycopg.connect(postgres.plain_url) as holder:
        holder.execute(f"SELECT count(*) FROM {table}")
        with pytest.raises(DataError, match=f"readers held {table} for 1 s"):
            write(sink, DAY, new, "v2")
        with pytest.raises(DataError, match=f"readers held {table} for 1 s"):
            write(sink, DAY + timedelta(days=1), new, "v2")
        # Others are not kept waiting behind the one that waits.
        assert_frame_equal(sink.read(DAY), expected(old))
        timer = threading.Timer(0.4, holder.rollback)
        timer.start()
        patient = SQLRecommendations(postgres.url, table, lock_seconds=0.1, publish_seconds=300.0)
        with patient.writing(DAY, "v2", scored_at=SCORED, resume=True) as writer:
            assert writer.parts == [0, 1, 2]
        timer.join()
    assert_frame_equal(sink.read(DAY), expected(new, "v2"))


def test_a_table_that_is_held_is_tried_again_less_often_each_time(
    postgres: Any, monkeypatch: Any
) -> None:
    import psycopg

    from nearfar.store.sinks import _postgres_writer

    table = f"r{uuid4().hex[:10]}"
    sink = SQLRecommendations(postgres.url, table, lock_seconds=0.001, publish_seconds=10.0)
    write(sink, DAY, recommendations(["a"]))
    rests: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(rests), sleep=rests.append)
    monkeypatch.setattr(_postgres_writer, "time", clock)
    with psycopg.connect(postgres.plain_url) as holder:
        holder.execute(f"SELECT count(*) FROM {table}")
        with pytest.raises(DataError, match=f"readers held {table} for 10 s"):
            write(sink, DAY, recommendations(["b"]), "v2")
    assert rests == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0]


def test_readers_do_not_wait_while_vacuum_is_in_the_old_day(postgres: Any) -> None:
    import psycopg

    table = f"r{uuid4().hex[:10]}"
    sink = SQLRecommendations(postgres.url, table, lock_seconds=300.0)
    old, new = recommendations(["a"]), recommendations(["b"])
    write(sink, DAY, old)
    publishing = threading.Thread(target=write, args=(sink, DAY, new, "v2"))
    with psycopg.connect(postgres.plain_url) as vacuum:
        vacuum.execute(f"LOCK TABLE {table}_20260305 IN SHARE UPDATE EXCLUSIVE MODE")
        publishing.start()
        publishing.join(1.0)
        assert publishing.is_alive()
        began = time.monotonic()
        assert_frame_equal(sink.read(DAY), expected(old))
        assert time.monotonic() - began < 100
    publishing.join()
    assert_frame_equal(sink.read(DAY), expected(new, "v2"))


def test_postgres_leaves_no_table_behind_and_finds_users_by_an_index(postgres: Any) -> None:
    import psycopg

    table = f"r{uuid4().hex[:10]}"
    sink = SQLRecommendations(postgres.url, table)
    for version in (*SIZES, *SIZES):
        write(sink, DAY, day_of(version), version)
    with psycopg.connect(postgres.plain_url) as connection:
        named = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relname LIKE %s "
            "ORDER BY relname", (f"{table}%",),
        ).fetchall()  # fmt: skip
        assert [n for (n,) in named] == [
            table, f"{table}_20260305", f"{table}_days", f"{table}_parts",
        ]  # fmt: skip
        plan = connection.execute(
            f"EXPLAIN SELECT item_id FROM {table} WHERE date = %s AND user_id = 'u77' "
            "ORDER BY rank", (DAY,),
        ).fetchall()  # fmt: skip
        assert "Index Scan" in str(plan)
        days = connection.execute(f"SELECT date, model_version, n_rows FROM {table}_days")
        assert days.fetchall() == [(DAY, "large-7000", 7000)]


def test_postgres_keeps_recommendations_in_a_schema(postgres: Any) -> None:
    import psycopg

    owner = f"s{uuid4().hex[:10]}"
    with psycopg.connect(postgres.plain_url) as connection:
        connection.execute(f"CREATE SCHEMA {owner}")
    sink = SQLRecommendations(postgres.url, f"{owner}.recommendations")
    frame = recommendations(["a", "b"])
    for version in ("v1", "v2"):
        write(sink, DAY, frame, version)
    assert_frame_equal(sink.read(DAY), expected(frame, "v2"))
    sink.delete(DAY)
    assert sink.dates() == []


def test_parquet_is_synced_before_readers_are_led_to_it_and_the_link_after(
    tmp_path: Path, monkeypatch: Any
) -> None:
    sink = ParquetRecommendations(str(tmp_path / "recommendations"))
    done: list[tuple[str, Path]] = []
    fsync, replace = os.fsync, os.replace

    def syncing(handle: int) -> None:
        done.append(("sync", Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    def replacing(source: Any, target: Any) -> None:
        done.append(("replace", Path(target)))
        replace(source, target)

    with sink.writing(DAY, "v1", scored_at=SCORED) as writer:
        writer.write(recommendations(["a"]))
        monkeypatch.setattr(os, "fsync", syncing)
        monkeypatch.setattr(os, "replace", replacing)
    link = Path(sink.path) / f"date={DAY}"
    day = link.resolve()
    linked = done.index(("replace", link))
    before, after = done[:linked], done[linked + 1 :]
    for folder in (day, day.parent, day.parent.parent):
        assert ("sync", folder) in before
    assert ("sync", link.parent) in after
