"""Events and recommendations that tests write and read."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from nearfar.core.identity import MISSING_WORDS, id_text
from nearfar.store.sinks.sink import RecommendationSink, make_sink

DAY = date(2026, 3, 5)
SINCE, UNTIL = date(2026, 3, 2), date(2026, 3, 6)
SCORED = datetime(2026, 3, 5, 4, 30, 1, 250_000, UTC)
LONGEST = "x" * 1024

HOSTILE = [
    "plain",
    "007",
    " spaced ",
    'double " quote',
    "single ' quote",
    "'; DROP TABLE recommendations; --",
    "comma, semicolon; bar|",
    "tab\tand\\tab",
    "line\nbreak\r\nand\rreturn",
    "\\.",
    "a\n\\.\nb",
    "\\N",
    "back\\slash\\",
    "NULL",
    "null",
    "None",
    "%s %(x)s {} $1 :name ?",
    "${HOME}",
    "emoji 🎬👩‍👩‍👧",
    "\u202eright to left",
    "e\u0301 and \u00e9",
    "\x01\x7f\ufeff",
    LONGEST,
]


# An id of events is as `id_text` writes it and is no word for a missing value.
IDS = [text for text in HOSTILE if text == id_text(text) and text not in MISSING_WORDS]


def events(n: int = 400) -> pl.DataFrame:
    """Events of six days, two of which lie outside [SINCE, UNTIL), by time, user and item."""
    first = datetime(2026, 3, 1, tzinfo=UTC)
    moments = [first + timedelta(seconds=i * 6 * 86400 // n) for i in range(n)]
    frame = pl.DataFrame(
        {
            "user": [IDS[i * 7 % len(IDS)] for i in range(n)],
            "item": [1000 + i * 13 % 37 for i in range(n)],
            "timestamp": pl.Series(moments, dtype=pl.Datetime("us", "UTC")),
            "rating": [1.0 + i % 9 / 2 for i in range(n)],
        },
        schema_overrides={"item": pl.Int64},
    )
    return frame.sort("timestamp", "user", "item", "rating")


def inside(frame: pl.DataFrame) -> pl.DataFrame:
    """The events in [SINCE, UNTIL)."""
    day = pl.col("timestamp").dt.date()
    return frame.filter((day >= SINCE) & (day < UNTIL))


def partitioned(frame: pl.DataFrame, folder: Path) -> Path:
    """A folder of Parquet files, one per day."""
    for (day,), rows in frame.group_by(pl.col("timestamp").dt.date()):
        partition = folder / f"date={day}"
        partition.mkdir(parents=True)
        rows.write_parquet(partition / "events.parquet")
    return folder


def recommendations(users: list[str] | list[int], k: int = 3, salt: int = 0) -> pl.DataFrame:
    """The best k items of some users; another salt has other items and scores."""
    rows = [(u, r, HOSTILE[(i + r + salt) % len(HOSTILE)]) for i, u in enumerate(users)
            for r in range(1, k + 1)]  # fmt: skip
    return pl.DataFrame(
        {
            "user": [u for u, _, _ in rows],
            "rank": [r for _, r, _ in rows],
            "item": [i for _, _, i in rows],
            "score": [1 / r + salt for _, r, _ in rows],
        }
    )


def expected(
    frame: pl.DataFrame, version: str = "v1", scored_at: datetime = SCORED
) -> pl.DataFrame:
    """What a sink of text ids reads of a frame written to it."""
    columns: dict[str, Any] = {
        "user": pl.col("user").cast(pl.String),
        "rank": pl.col("rank").cast(pl.Int32),
        "item": pl.col("item").cast(pl.String),
        "score": pl.col("score").cast(pl.Float32),
        "model_version": pl.lit(version),
        "scored_at": pl.lit(scored_at).cast(pl.Datetime("us", "UTC")),
    }
    return frame.select(**columns).sort("user", "rank")


def settings_of(kind: str, folder: Path, url: str | None, table: str) -> tuple[str, dict[str, str]]:
    """The name and the settings of a sink for a test."""
    if kind == "parquet":
        return "parquet", {"path": str(folder / "recommendations")}
    if kind == "sqlite":
        return "sql", {"url": f"sqlite:///{folder}/r.db", "table": table}
    assert url is not None
    return "sql", {"url": url, "table": table}


def write(sink: RecommendationSink, day: date, frame: pl.DataFrame, version: str = "v1") -> None:
    """Write a day in three parts."""
    size = -(-frame.height // 3)
    with sink.writing(day, version, scored_at=SCORED) as writer:
        for start in range(0, frame.height, size):
            writer.write(frame.slice(start, size))


def write_and_fail(
    sink: RecommendationSink, version: str, parts: list[pl.DataFrame], error: BaseException
) -> None:
    """Write parts of the day, and raise an error before it is published."""
    with sink.writing(DAY, version, scored_at=SCORED) as writer:
        for part in parts:
            writer.write(part)
        raise error


def sink_of(
    kind: str, folder: Path, url: str | None, table: str, **more: Any
) -> RecommendationSink:
    """A sink for a test."""
    name, values = settings_of(kind, folder, url, table)
    return make_sink(name, {**values, **more})
