"""A day of recommendations written to PostgreSQL and swapped in, against COPY alone.

    python -m benchmarks.store [--users 1000000] [--out benchmarks/store.json]

20 items for each of a million users, in parts of 50,000 users, go to a temporary PostgreSQL with
default settings. The floor is one COPY of the same rows, with all seven columns, from text made
beforehand into a table without an index. The sink makes its text, writes parts that survive a
crash, builds the index, and swaps the day in. Floor and sink alternate, and the least time of each
is compared, because other work on the machine affects it least. Finally the sink writes while two
readers repeatedly query 50 users of the day; every answer must be complete and of one version.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks import postgres
from benchmarks.machine import provenance
from nearfar.core.files import write_json
from nearfar.store.sinks.sink import RecommendationSink
from nearfar.store.sinks.sql import SQLRecommendations

K, N_ITEMS, PART_USERS, QUERY_USERS, N_ROUNDS = 20, 20_000, 50_000, 50, 2
DAY = date(2026, 3, 5)
SCORED = datetime(2026, 3, 5, 4, tzinfo=UTC)
BLOCK_BYTES = 1 << 20
FLOOR = """
CREATE TABLE plain (date date NOT NULL, user_id text COLLATE "C" NOT NULL, rank integer NOT NULL,
    item_id text COLLATE "C" NOT NULL, score real NOT NULL, model_version text NOT NULL,
    scored_at timestamptz NOT NULL)
"""


def part(first: int, n_users: int) -> pl.DataFrame:
    """Return recommendations for n_users users from `first` on, best first."""
    rng = np.random.default_rng(first)
    scores = -np.sort(-rng.random((n_users, K), np.float32), axis=1)
    users = pl.Series("user", np.arange(first, first + n_users)).cast(pl.String)
    return pl.DataFrame(
        {
            "user": users.gather(np.repeat(np.arange(n_users), K)),
            "rank": pl.Series(np.tile(np.arange(1, K + 1), n_users), dtype=pl.Int64),
            "item": pl.Series(rng.integers(N_ITEMS, size=n_users * K)).cast(pl.String),
            "score": scores.ravel(),
        }
    )


def write_text(parts: list[pl.DataFrame], path: Path) -> None:
    """Write the rows with all columns in the text format of COPY."""
    with path.open("wb") as file:
        for frame in parts:
            rows = frame.select(
                pl.lit(DAY).alias("date"), "user", "rank", "item", "score",
                pl.lit("v1").alias("version"), pl.lit(str(SCORED)).alias("scored_at"),
            )  # fmt: skip
            rows.write_csv(file, include_header=False, separator="\t", quote_style="never")


def floor_seconds(server: postgres.Server, path: Path) -> float:
    """Return the seconds of COPY alone."""
    import psycopg

    with psycopg.connect(server.plain_url) as connection:
        connection.execute("DROP TABLE IF EXISTS plain")
        connection.execute(FLOOR)
        connection.commit()
        started = time.perf_counter()
        with path.open("rb") as file, connection.cursor().copy("COPY plain FROM STDIN") as copy:
            while block := file.read(BLOCK_BYTES):
                copy.write(block)
        connection.commit()
        seconds = time.perf_counter() - started
        connection.execute("DROP TABLE plain")
    return seconds


def publish(sink: RecommendationSink, parts: list[pl.DataFrame], name: str) -> dict[str, float]:
    """Return the seconds to publish the parts, and those after the last part was written."""
    started = time.perf_counter()
    with sink.writing(DAY, name, scored_at=SCORED) as writer:
        for frame in parts:
            writer.write(frame)
        write_end = time.perf_counter()
    end = time.perf_counter()
    return {"seconds": end - started, "index_and_swap_seconds": end - write_end}


def read_repeatedly(url: str, n_users: int) -> None:
    """Query until stdin ends, then print the results: the program of a reader's process."""
    import threading

    import psycopg

    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    rng, versions, longest, n_partial = random.Random(), set(), 0.0, 0
    query = """SELECT model_version, count(*) FROM recommendations
        WHERE date = %s AND user_id = ANY(%s) GROUP BY 1"""
    n_queries = 0
    with psycopg.connect(url, autocommit=True) as connection:
        while not stop.is_set():
            users = [str(u) for u in rng.sample(range(n_users), QUERY_USERS)]
            started = time.perf_counter()
            counts = connection.execute(query, (DAY, users)).fetchall()
            longest = max(longest, time.perf_counter() - started)
            n_queries += 1
            versions |= {v for v, _ in counts}
            n_partial += len(counts) != 1 or counts[0][1] != QUERY_USERS * K
            time.sleep(0.02)
    print(json.dumps({"asked": n_queries, "partial": n_partial, "versions": sorted(versions),
                      "longest_seconds": longest}))  # fmt: skip


def publish_while_read(
    server: postgres.Server, sink: RecommendationSink, parts: list[pl.DataFrame], n_users: int
) -> dict[str, Any]:
    """Publish while two readers query the day."""
    command = [sys.executable, "-m", "benchmarks.store", "--users", str(n_users), "--ask",
               server.plain_url]  # fmt: skip
    readers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    time.sleep(2)
    result: dict[str, Any] = dict(publish(sink, parts, "read"))
    time.sleep(1)
    result["readers"] = [json.loads(r.communicate("")[0]) for r in readers]
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ask:
        read_repeatedly(arguments.ask, arguments.users)
        return
    n_users, load_before = arguments.users, os.getloadavg()
    parts = [
        part(first, min(PART_USERS, n_users - first)) for first in range(0, n_users, PART_USERS)
    ]
    n_rows = n_users * K
    with tempfile.TemporaryDirectory() as folder, postgres.running() as server:
        text = Path(folder) / "rows.txt"
        write_text(parts, text)
        sink = SQLRecommendations(server.url)
        floors, sink_times = [], []
        for number in range(N_ROUNDS):
            floors.append(floor_seconds(server, text))
            sink_times.append(publish(sink, parts, f"v{number}"))
        while_read = publish_while_read(server, sink, parts, n_users)
        n_items = sink.read(DAY, "0").height
        server_version = server_version_of(server)
    assert n_items == K
    floor = n_rows / min(floors)
    alone: dict[str, Any] = dict(min(sink_times, key=lambda times: times["seconds"]))
    alone["all_seconds"] = [times["seconds"] for times in sink_times]
    for times in (alone, while_read):
        times["rows_per_second"] = n_rows / times["seconds"]
        times["of_copy_alone"] = times["rows_per_second"] / floor
    result = {
        "users": n_users,
        "rows": n_rows,
        "copy_alone": {
            "seconds": min(floors),
            "rows_per_second": floor,
            "all_seconds": floors,
        },
        "sink": alone,
        "sink_while_read": while_read,
        "postgres": server_version,
        "psycopg": version("psycopg"),
        "load_average": {"before": load_before, "after": os.getloadavg()},
        "provenance": provenance(),
    }
    write_json(arguments.out, result)
    print(json.dumps(result, indent=2))


def server_version_of(server: postgres.Server) -> str:
    """Return PostgreSQL's version."""
    import psycopg

    with psycopg.connect(server.plain_url) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    assert row is not None
    return row[0]


if __name__ == "__main__":
    main()
