"""What every sink of recommendations must do."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from nearfar.core.discovery import discover
from nearfar.core.errors import DataError, SchemaError, SettingsError, UnknownNameError
from nearfar.core.settings import build, to_plain
from nearfar.store.reader import UnreachableError
from nearfar.store.sinks import parquet
from nearfar.store.sinks._postgres_table import PostgresTable
from nearfar.store.sinks.parquet import ParquetRecommendations
from nearfar.store.sinks.sink import PACKAGE, RecommendationSink, find_sink
from nearfar.store.sinks.sql import SQLRecommendations
from tests.store.cases import (
    DAY,
    HOSTILE,
    LONGEST,
    SCORED,
    expected,
    recommendations,
    sink_of,
    write,
    write_and_fail,
)

Make = Callable[..., RecommendationSink]


@pytest.fixture(params=["parquet", "sqlite", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes a sink of each kind, the same one each time."""
    kind, table = request.param, f"r{uuid4().hex[:10]}"
    url = request.getfixturevalue("postgres").url if kind == "postgres" else None

    def made(**more: Any) -> RecommendationSink:
        return sink_of(kind, tmp_path, url, table, **more)

    return made


@pytest.fixture
def sink(make: Make) -> RecommendationSink:
    return make()


def test_what_is_written_is_read(sink: RecommendationSink) -> None:
    frame = recommendations(HOSTILE)
    write(sink, DAY, frame.sample(fraction=1, shuffle=True, seed=1))
    assert_frame_equal(sink.read(DAY), expected(frame))
    assert sink.dates() == [DAY]
    for user in HOSTILE:
        assert_frame_equal(sink.read(DAY, user), expected(frame.filter(pl.col("user") == user)))
    assert_frame_equal(sink.read(DAY, "nobody"), expected(frame).clear())


def test_the_same_day_twice_is_the_same_rows(sink: RecommendationSink) -> None:
    frame = recommendations(HOSTILE)
    write(sink, DAY, frame)
    once = sink.read(DAY)
    write(sink, DAY, frame)
    assert_frame_equal(sink.read(DAY), once)
    assert sink.dates() == [DAY]


def test_publishing_again_replaces_that_day_alone(sink: RecommendationSink) -> None:
    other = DAY - timedelta(days=1)
    old, new = recommendations(HOSTILE), recommendations(HOSTILE[3:9], k=2, salt=5)
    write(sink, DAY, old)
    write(sink, other, old, "v0")
    for version, frame in (("v2", new), ("v3", old), ("v2", new)):
        write(sink, DAY, frame, version)
        assert_frame_equal(sink.read(DAY), expected(frame, version))
    assert_frame_equal(sink.read(other), expected(old, "v0"))
    assert sink.dates() == [other, DAY]


def test_an_error_publishes_nothing(sink: RecommendationSink) -> None:
    frame = recommendations(HOSTILE)
    with pytest.raises(KeyError):
        write_and_fail(sink, "v1", [frame], KeyError("while scoring"))
    assert sink.dates() == []
    with pytest.raises(DataError, match=f"no recommendations of {DAY} are published; none is"):
        sink.read(DAY)
    write(sink, DAY, frame)
    with pytest.raises(OSError, match="while scoring"):
        write_and_fail(sink, "v2", [recommendations(["other"])], OSError("while scoring"))
    assert_frame_equal(sink.read(DAY), expected(frame))


def broken_run(sink: RecommendationSink, version: str, frame: pl.DataFrame, parts: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_and_fail(sink, version, [frame[i::4] for i in range(parts)], KeyboardInterrupt())


def test_parts_of_a_broken_run_are_gone_on_with(sink: RecommendationSink) -> None:
    frame = recommendations(HOSTILE)
    broken_run(sink, "v1", frame, 2)
    with sink.writing(DAY, "v1", scored_at=SCORED, resume=True) as writer:
        assert writer.parts == [0, 1]
        for part in (0, 1):
            with pytest.raises(DataError, match=f"part {part} of 2026-03-05 is written already"):
                writer.write(frame[1::4], part)
        with pytest.raises(DataError, match="part is -1; at least 0 was expected"):
            writer.write(frame[1::4], -1)
        writer.write(frame[3::4], 3)
        assert writer.parts == [0, 1, 3]
        writer.write(frame[2::4], 2)
    assert_frame_equal(sink.read(DAY), expected(frame))
    with sink.writing(DAY, "v1", resume=True) as writer:
        assert writer.parts == []
        writer.write(frame[:3])
        assert writer.parts == [0]
        writer.write(frame[3:6])
        assert writer.parts == [0, 1]
    assert sink.read(DAY).height == 6


def test_parts_are_dropped_where_a_run_starts_anew_or_another_version_comes(
    sink: RecommendationSink,
) -> None:
    frame, other = recommendations(HOSTILE), recommendations(["other"])
    broken_run(sink, "v1", frame, 2)
    write(sink, DAY, other, "v1")
    assert_frame_equal(sink.read(DAY), expected(other))
    broken_run(sink, "v1", frame, 2)
    with sink.writing(DAY, "v2", scored_at=SCORED, resume=True) as writer:
        assert writer.parts == []
        writer.write(other)
    with sink.writing(DAY, "v1", scored_at=SCORED, resume=True) as writer:
        assert writer.parts == []
        writer.write(frame)
    broken_run(sink, "v1", frame, 3)
    broken_run(sink, "v1", frame, 1)
    with sink.writing(DAY, "v1", scored_at=SCORED, resume=True) as writer:
        assert writer.parts == [0]
        writer.write(other, 7)
    assert_frame_equal(sink.read(DAY), expected(pl.concat([frame[0::4], other])))


def test_parts_of_one_day_are_not_those_of_another(sink: RecommendationSink) -> None:
    frame, other = recommendations(HOSTILE), DAY + timedelta(days=1)
    broken_run(sink, "v1", frame, 2)
    with sink.writing(other, "v1", resume=True) as writer:
        assert writer.parts == []
        writer.write(frame)
    with sink.writing(DAY, "v1", resume=True) as writer:
        assert writer.parts == [0, 1]


def test_versions_may_be_called_anything(sink: RecommendationSink) -> None:
    for version in ("../../up", "a/b\\c", "pia 7 (best)", "é🎬" * 50, "%s'\"; --", "v1", "V1", "."):
        frame = recommendations([version[:3], "u"])
        broken_run(sink, version, frame, 1)
        with sink.writing(DAY, version, scored_at=SCORED, resume=True) as writer:
            assert writer.parts == [0]
            for part in (1, 2, 3):
                writer.write(frame[part::4], part)
        assert_frame_equal(sink.read(DAY), expected(frame, version))
    for wrong in ("", "x" * 101, "nul\0"):
        with pytest.raises(SettingsError, match="version is"), sink.writing(DAY, wrong):
            pass
    assert sink.dates() == [DAY]


def test_a_user_with_two_items_at_one_rank_is_refused(sink: RecommendationSink) -> None:
    frame = recommendations(HOSTILE)
    write(sink, DAY, frame)
    twice = pl.concat([frame[:9], frame[6:12]])
    with pytest.raises(DataError, match="a user has two items at one rank"):
        write(sink, DAY, twice, "v2")
    assert_frame_equal(sink.read(DAY), expected(frame))
    write(sink, DAY, frame, "v3")
    assert_frame_equal(sink.read(DAY), expected(frame, "v3"))


def test_a_day_without_rows_is_refused(sink: RecommendationSink) -> None:
    frame = recommendations(HOSTILE)
    write(sink, DAY, frame)
    told = "no rows of 2026-03-05 were written"
    with pytest.raises(DataError, match=told), sink.writing(DAY, "v2"):
        pass
    with pytest.raises(DataError, match=told), sink.writing(DAY, "v2") as writer:
        writer.write(frame.clear())
    assert_frame_equal(sink.read(DAY), expected(frame))


def spoilt(column: str, value: Any) -> pl.DataFrame:
    frame = recommendations(["a", "b", "c"])
    kind = frame.schema[column]
    first = pl.int_range(pl.len()) == 4
    return frame.with_columns(
        pl.when(first).then(pl.lit(value, kind)).otherwise(pl.col(column)).alias(column)
    )


BAD = [
    ("user", None, "user missing"),
    ("item", None, "item missing"),
    ("rank", None, "rank missing"),
    ("score", None, "score missing"),
    ("user", "", "user empty"),
    ("user", "nul\0in", "the character NUL"),
    ("item", "nul\0in", "the character NUL"),
    ("item", LONGEST + "x", "longer than 1,024 bytes"),
    ("rank", 0, "rank below 1"),
    ("rank", 1 << 40, "rank missing"),
    ("score", float("nan"), "score not finite"),
    ("score", float("-inf"), "score not finite"),
]


@pytest.mark.parametrize(("column", "value", "told"), BAD, ids=lambda v: repr(v)[:20])
def test_rows_that_cannot_be_kept_are_refused(
    column: str, value: Any, told: str, tmp_path: Path
) -> None:
    sink = ParquetRecommendations(str(tmp_path))
    with (
        pytest.raises(DataError, match=f"of 9 rows, 1 with the .*{told}"),
        sink.writing(DAY, "v1") as writer,
    ):
        writer.write(spoilt(column, value))
    assert sink.dates() == []


def test_frames_of_another_shape_are_refused(sink: RecommendationSink) -> None:
    frame = recommendations(["a"])
    for wrong, told in (
        (frame.drop("item", "score"), "item, score missing"),
        (frame.with_columns(pl.col("rank").cast(pl.Float64)), "ranks are Float64"),
        (frame.with_columns(pl.col("user").cast(pl.Categorical)), "user ids are Categorical"),
        (frame.with_columns(score=pl.lit("best")), "scores are String"),
        (frame.with_columns(scored_at=pl.lit(datetime(2026, 1, 1))), "with a time zone"),
    ):
        with pytest.raises(SchemaError, match=told), sink.writing(DAY, "v1") as writer:
            writer.write(wrong)
    with (
        pytest.raises(SettingsError, match="without a time zone"),
        sink.writing(DAY, "v1", scored_at=datetime(2026, 1, 1)),
    ):
        pass


def test_rows_may_tell_their_own_version_and_time(sink: RecommendationSink) -> None:
    zone = timezone(timedelta(hours=9))
    early = datetime(2026, 3, 5, 3, tzinfo=zone)
    plain, own = recommendations(["a", "b"]), recommendations(["c", "d"])
    own = own.with_columns(
        pl.when(pl.col("user") == "c")
        .then(pl.lit("popular"))
        .otherwise(pl.lit("v1"))
        .alias("model_version"),
        scored_at=pl.lit(early).dt.convert_time_zone("Asia/Tokyo"),
        title=pl.lit("left out"),
    )
    with sink.writing(DAY, "v1", scored_at=SCORED) as writer:
        writer.write(plain)
        writer.write(own)
    read = sink.read(DAY)
    told = {u: (v, t) for u, v, t in read.select("user", "model_version", "scored_at").rows()}
    assert told == {
        "a": ("v1", SCORED), "b": ("v1", SCORED), "c": ("popular", early), "d": ("v1", early),
    }  # fmt: skip


def test_a_day_can_be_withdrawn(sink: RecommendationSink) -> None:
    frame, other = recommendations(HOSTILE), DAY - timedelta(days=7)
    write(sink, DAY, frame)
    write(sink, other, frame)
    broken_run(sink, "v9", frame, 2)
    sink.delete(DAY)
    assert sink.dates() == [other]
    with pytest.raises(DataError, match="1 days from 2026-02-26 to 2026-02-26 are"):
        sink.read(DAY)
    assert_frame_equal(sink.read(other), expected(frame))
    with sink.writing(DAY, "v9", resume=True) as writer:
        assert writer.parts == []
        writer.write(frame[:3])
    assert sink.read(DAY).height == 3
    sink.delete(date(2020, 1, 1))


def test_integer_ids_are_text_unless_asked_otherwise(make: Make) -> None:
    users = [7, -12, 9_007_199_254_740_993, 9_223_372_036_854_775_807]
    frame = recommendations(users).with_columns(item=pl.col("rank") * 100)
    write(make(), DAY, frame)
    assert_frame_equal(make().read(DAY), expected(frame))
    assert make().read(DAY, 7).height == make().read(DAY, "7").height == 3


def test_integer_ids_stay_integers_where_asked(make: Make) -> None:
    sink = make(ids="integer")
    users = [7, -12, 9_007_199_254_740_993, 9_223_372_036_854_775_807]
    frame = recommendations(users).with_columns(item=pl.col("rank") * 100)
    write(sink, DAY, frame)
    wanted = expected(frame).with_columns(pl.col("user", "item").cast(pl.Int64))
    assert_frame_equal(sink.read(DAY), wanted.sort("user", "rank"))
    assert sink.read(DAY, "7").height == sink.read(DAY, 7).height == 3
    assert sink.read(DAY, "seven").height == sink.read(DAY, 1 << 70).height == 0
    with (
        pytest.raises(DataError, match=r"user missing.*ids must be integers"),
        sink.writing(DAY, "v2") as writer,
    ):
        writer.write(recommendations(["seven"]).with_columns(item=pl.lit(1)))


def test_nothing_is_made_by_looking(sink: RecommendationSink, tmp_path: Path) -> None:
    assert sink.dates() == []
    with pytest.raises(DataError, match="none is"):
        sink.read(DAY)
    assert not any(tmp_path.iterdir())


def test_a_reader_of_sqlite_follows_a_file_that_was_replaced(tmp_path: Path) -> None:
    files = {}
    for user in ("a", "b"):
        (tmp_path / user).mkdir()
        write(sink_of("sqlite", tmp_path / user, None, "t"), DAY, recommendations([user]))
        files[user] = tmp_path / user / "r.db"
    reader = sink_of("sqlite", tmp_path / "a", None, "t").reader(5.0)
    try:
        assert sorted(reader.read(DAY, ["a", "b"]) or {}) == ["a"]
        files["b"].replace(files["a"])
        assert sorted(reader.read(DAY, ["a", "b"]) or {}) == ["b"]
        files["a"].unlink()
        assert reader.latest() is None
    finally:
        reader.close()


def test_a_postgres_that_cannot_be_reached_is_tried_once(monkeypatch: Any) -> None:
    psycopg = pytest.importorskip("psycopg")
    tries = []

    def connect(self: PostgresTable, **options: Any) -> None:
        tries.append(options)
        raise psycopg.OperationalError("away")

    monkeypatch.setattr(PostgresTable, "connect", connect)
    reader = SQLRecommendations("postgresql://nobody@127.0.0.1:1/none", "t").reader(5.0)
    with pytest.raises(UnreachableError, match="away"):
        reader.latest()
    reader.close()  # although nothing was opened
    assert len(tries) == 1


def test_a_day_of_parquet_that_is_published_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: Any
) -> None:
    sink = ParquetRecommendations(str(tmp_path))
    write(sink, DAY, recommendations(["a"]))
    read, folders = parquet._read, []

    def interrupted(folder: Path, *rest: Any) -> pl.DataFrame:
        folders.append(folder)
        if len(folders) == 1:
            write(sink, DAY, recommendations(["b"]), "v2")
            raise FileNotFoundError(folder)
        return read(folder, *rest)

    monkeypatch.setattr(parquet, "_read", interrupted)
    assert sink.read(DAY)["user"].unique().to_list() == ["b"]
    monkeypatch.undo()
    for path in (tmp_path / ".days").rglob("*.parquet"):
        path.write_bytes(b"damaged")
    with pytest.raises(DataError, match="read it"):
        sink.read(DAY)


def test_a_part_of_many_rows(sink: RecommendationSink) -> None:
    frame = recommendations([f"user\t{i}" for i in range(40_000)])
    with sink.writing(DAY, "v1", scored_at=SCORED) as writer:
        writer.write(frame)
    assert_frame_equal(sink.read(DAY), expected(frame))


def test_sinks_are_found_by_name_and_made_of_settings(tmp_path: Path) -> None:
    missing = set(discover(PACKAGE, RecommendationSink)) - {"parquet", "sql"}
    assert not missing, f"add {missing} here, to the fixture `sink` and to cases.settings_of"
    assert find_sink("SQL") is SQLRecommendations
    with pytest.raises(UnknownNameError, match="did you mean 'parquet'"):
        find_sink("parkett")
    made = SQLRecommendations(f"sqlite:///{tmp_path}/r.db", ids="integer")
    plain = json.loads(json.dumps(to_plain(made)))
    assert plain.pop("kind") == "sql"
    assert build(SQLRecommendations, plain) == made


def test_settings_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for table in ("", "Upper", "a.b.c", "x; DROP TABLE y", "t" * 32, "1a", 'quo"te'):
        with pytest.raises(SettingsError, match="table is"):
            SQLRecommendations("sqlite:///r.db", table)
    with pytest.raises(SettingsError, match="lock_seconds"):
        SQLRecommendations("sqlite:///r.db", lock_seconds=0.0)
    for url, told in (
        ("mysql://me@host/shop", "SQLite .* or PostgreSQL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("recommendations.db", "SQLite .* or PostgreSQL"),
    ):
        with pytest.raises(SettingsError, match=told):
            SQLRecommendations(url).dates()
    with pytest.raises(SettingsError, match="SQLite has no schemas"):
        SQLRecommendations("sqlite:///r.db", "shop.recommendations").check()
    with pytest.raises(SettingsError, match="is not a path"):
        ParquetRecommendations("s3://shop/recommendations").check()
    with pytest.raises(SettingsError, match="ids"):
        ParquetRecommendations("x", ids="uuid")  # pyright: ignore[reportArgumentType]


def test_a_day_is_published_without_the_parts_and_the_rows_of_others(
    sink: RecommendationSink,
) -> None:
    other, third = DAY - timedelta(days=1), DAY - timedelta(days=2)
    write(sink, third, recommendations(["third"]))
    with pytest.raises(KeyError):
        write_and_fail_on(sink, other, recommendations(["other"]))
    write(sink, DAY, recommendations(["own"]))
    assert sink.dates() == [third, DAY]
    url = getattr(sink, "url", "")
    if url.startswith("sqlite"):  # as other programs see it
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            table = sink.table  # pyright: ignore[reportAttributeAccessIssue]
            rows = connection.execute(f"SELECT date, count(*) FROM {table} GROUP BY 1").fetchall()
            told = connection.execute(f"SELECT date, n_rows FROM {table}_days").fetchall()
        assert sorted(rows) == sorted(told) == [(str(third), 3), (str(DAY), 3)]
    assert_frame_equal(sink.read(DAY), expected(recommendations(["own"])))
    assert_frame_equal(sink.read(third), expected(recommendations(["third"])))
    assert sink.holds(DAY, "v1")
    assert not sink.holds(DAY, "v2")
    assert not sink.holds(other, "v1")
    # The parts of the day between are still there, and are no other day's.
    with sink.writing(other, "v1", scored_at=SCORED, resume=True) as writer:
        assert writer.parts == [0]
        writer.write(recommendations(["more"]))
    assert sink.read(other)["user"].unique().sort().to_list() == ["more", "other"]
    assert_frame_equal(sink.read(DAY), expected(recommendations(["own"])))


def write_and_fail_on(sink: RecommendationSink, day: date, part: pl.DataFrame) -> None:
    with sink.writing(day, "v1", scored_at=SCORED) as writer:
        writer.write(part)
        raise KeyError
