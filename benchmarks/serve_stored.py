"""Stored recommendations over HTTP: latency at a fixed rate, and how many were fallbacks.

    python -m benchmarks.serve_stored [--rate 1000] [--seconds 60] [--kinds postgres,sqlite,parquet]

A day of 20 recommendations for each of 100,000 users is published to each kind of store.
`nearfar serve` then answers GET /v1/users/{user}/recommendations for random users, at random
moments (a Poisson process); the time of each counts from the moment it should have been sent.
PostgreSQL, the service and the load share the machine, so what each of them costs is measured too,
in milliseconds of processor time per request. Whatever else runs, the service can answer no more
per second than its event loop has processor time for.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks import postgres
from benchmarks.machine import provenance
from benchmarks.serve import Serving, fresh_bundle, open_clients
from nearfar.core.files import write_json
from nearfar.store.sinks.sink import make_sink

DAY, N_USERS, K, N_ITEMS = date(2026, 3, 1), 100_000, 20, 20_108
GOALS = {"p99_ms": 50.0, "not_stored": 0}


def publish(address: str) -> None:
    """Publish a day of every user's recommendations."""
    kind, name = ("sql", "url") if "://" in address else ("parquet", "path")
    rng = np.random.default_rng(0)
    with make_sink(kind, {name: address}).writing(DAY, "v1") as writer:
        for start in range(0, N_USERS, 20_000):
            users = np.arange(start, start + 20_000)
            rows = pl.DataFrame(
                {
                    "user": np.repeat(users, K),
                    "rank": np.tile(np.arange(1, K + 1), len(users)),
                    "item": rng.integers(0, N_ITEMS, len(users) * K),
                    "score": rng.random(len(users) * K),
                }
            ).with_columns(pl.col("user").cast(pl.String), pl.col("item").cast(pl.String))
            writer.write(rows)


async def at_rate(port: int, rate: float, seconds: float) -> dict[str, Any]:
    """The latency of requests for random users at random moments."""
    loop, rng = asyncio.get_running_loop(), np.random.default_rng(1)
    due = np.cumsum(rng.exponential(1 / rate, int(rate * seconds)))
    users = rng.integers(0, N_USERS, len(due))
    taken, statuses = np.zeros(len(due)), np.zeros(len(due), int)
    idle: asyncio.Queue[Any] = asyncio.Queue()
    for client in await open_clients(port, 128):
        idle.put_nowait(client)

    async def one(number: int, moment: float) -> None:
        client = await idle.get()
        path = f"/v1/users/{users[number]}/recommendations?k={K}"
        statuses[number] = await client.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        taken[number] = loop.time() - moment
        idle.put_nowait(client)

    start, running = loop.time() + 0.1, set()
    for number, offset in enumerate(due):
        if (wait := start + offset - loop.time()) > 0:
            await asyncio.sleep(wait)
        task = loop.create_task(one(number, start + offset))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    p50, p95, p99, p999 = (np.percentile(taken, [50, 95, 99, 99.9]) * 1000).tolist()
    return {
        "requests": len(due), "per_second": len(due) / float(due[-1]), "p50_ms": p50,
        "p95_ms": p95, "p99_ms": p99, "p99.9_ms": p999, "max_ms": float(taken.max() * 1000),
        "not_200": int((statuses != 200).sum()),
    }  # fmt: skip


def measure(address: str, bundle: Path, rate: float, seconds: float) -> dict[str, Any]:
    """Serve one store and ask it."""
    publish(address)
    serving = Serving(bundle, "--store", address)
    try:
        for name, value in (("warm_up", 2.0), ("measured", seconds)):
            command = [sys.executable, "-m", "benchmarks.serve_stored", "--generate"]
            done = subprocess.run(
                [*command, str(serving.port), str(rate), str(value)],
                stdout=subprocess.PIPE, check=True, text=True,
            )  # fmt: skip
            if name == "warm_up":
                before, seconds_before = serving.get("/metrics"), processor_seconds(serving)
        after, seconds_after = serving.get("/metrics"), processor_seconds(serving)
    finally:
        serving.stop()
    found = json.loads(done.stdout)
    kinds = ("stored", "history", "popular")
    sources = {s: _sources(after, s) - _sources(before, s) for s in kinds}
    not_stored = found["requests"] - sources["stored"]
    met = found["p99_ms"] < GOALS["p99_ms"] and not_stored == 0
    cost = {
        name: 1000 * (seconds_after[name] - seconds_before[name]) / found["requests"]
        for name in seconds_after
    }
    return {
        **found, "processor_ms_per_request": cost, "load_average": os.getloadavg()[0],
        "sources": sources, "not_stored": not_stored, "met": met,
    }  # fmt: skip


def processor_seconds(serving: Serving) -> dict[str, float]:
    """The processor time that each side has used."""
    load = resource.getrusage(resource.RUSAGE_CHILDREN)
    database = 0.0
    for folder in Path("/proc").iterdir():
        # A process can end between two looks.
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and (folder / "comm").read_text().startswith("postgres"):
                database += _of_process(int(folder.name))
    return {
        "service": _of_process(serving.process.pid),
        "postgres": database,
        "load": load.ru_utime + load.ru_stime,
    }


def _of_process(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _sources(text: str, source: str) -> int:
    found = re.search(rf'^nearfar_recommendations_total{{source="{source}"}} (\S+)$', text, re.M)
    return int(float(found[1])) if found else 0


@contextlib.contextmanager
def store(kind: str, folder: Path) -> Iterator[str]:
    """The address of an empty store."""
    if kind == "postgres":
        with postgres.running(fsync="off") as server:
            yield server.url
    else:
        yield f"sqlite:///{folder}/r.db" if kind == "sqlite" else str(folder / "recommendations")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=1000, help="requests per second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kinds", default="postgres", help="of postgres, sqlite, parquet")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/serve_stored.json"))
    parser.add_argument("--generate", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.generate:
        port, rate, seconds = arguments.generate
        print(json.dumps(asyncio.run(at_rate(int(port), float(rate), float(seconds)))))
        return
    result: dict[str, Any] = {"users": N_USERS, "k": K, "goals": GOALS}
    with tempfile.TemporaryDirectory() as name:
        bundle = fresh_bundle(Path(name) / "bundle")
        for kind in arguments.kinds.split(","):
            with store(kind, Path(name)) as address:
                result[kind] = measure(address, bundle, arguments.rate, arguments.seconds)
            print(json.dumps({kind: result[kind]}, indent=2))
    write_json(arguments.out, {**result, "provenance": provenance()})


if __name__ == "__main__":
    main()
