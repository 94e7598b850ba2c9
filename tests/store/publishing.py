"""A process that writes recommendations until it is killed.

    python -m tests.store.publishing MODE NAME SETTINGS

MODE "write": parts of the day without end, saying each that is safe. MODE "publish": the day
again and again in two versions, of as many rows as their names say. MODE "sleep": nothing, with
the day of a PostgreSQL table for itself, while the server does what takes a minute.
"""

from __future__ import annotations

import itertools
import json
import sys

import polars as pl

from nearfar.core.secrets import Url
from nearfar.store.sinks._postgres_table import PostgresTable
from nearfar.store.sinks.sink import make_sink
from nearfar.store.sinks.sql import SQLRecommendations
from tests.store.cases import DAY, SCORED

SIZES = {"small-3000": 3000, "large-7000": 7000}
PART_ROWS = 20_000


def day_of(version: str) -> pl.DataFrame:
    """All rows of a version's day: one item a user."""
    n = SIZES[version]
    return pl.DataFrame(
        {"user": [f"u{i}" for i in range(n)], "rank": 1, "item": version, "score": 0.5},
        schema_overrides={"rank": pl.Int32},
    )


def part_of(number: int) -> pl.DataFrame:
    """The rows of a part: its users are of no other."""
    users = pl.int_range(PART_ROWS, eager=True).cast(pl.String)
    return pl.DataFrame({"user": users}).select(
        user=pl.format("{}-{}", pl.lit(number), "user"), rank=1, item=pl.lit("i"), score=0.5
    )


def say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def main() -> None:
    mode, name, values = sys.argv[1:]
    sink = make_sink(name, json.loads(values))
    if mode == "write":
        with sink.writing(DAY, "new", scored_at=SCORED) as writer:
            for number in itertools.count():
                writer.write(part_of(number), number)
                say(number)
    if mode == "sleep":
        assert isinstance(sink, SQLRecommendations)
        with PostgresTable(Url(sink.url), sink.table, "text", 1.0, 1.0).for_writing(DAY) as day:
            say("asleep")
            day.execute("SELECT pg_sleep(60)")
    for version in itertools.cycle(SIZES):
        with sink.writing(DAY, version, scored_at=SCORED) as writer:
            writer.write(day_of(version)[::2])
            writer.write(day_of(version)[1::2])
        say(version)


if __name__ == "__main__":
    main()
