"""Stored recommendations over HTTP: latency at a fixed rate, and the number of fallbacks.

    python -m benchmarks.serve_stored [--rate 1000] [--seconds 60] [--kinds postgres,sqlite,parquet]

For each kind of store, a day of 20 recommendations for each of 100,000 users is published.
`nearfar serve` then answers GET /v1/users/{user}/recommendations for random users. The requests
form a Poisson process, and the time of a request starts when it was due. PostgreSQL, the service
and the load share the machine, so the CPU milliseconds per request of each are recorded too: the
CPU time of the service's event loop bounds the requests per second.
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
from benchmarks.serve import Serving, open_clients, random_bundle
from nearfar.core.files import write_json
from nearfar.store.sinks.sink import make_sink

DAY, N_USERS, K, N_ITEMS = date(2026, 3, 1), 100_000, 20, 20_108
GOALS = {"p99_ms": 50.0, "not_stored": 0}


def publish(address: str) -> None:
    """Publish a day of recommendations for all users."""
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
    """Measure the latency of requests for random users, as a Poisson process of this rate."""
    loop, rng = asyncio.get_running_loop(), np.random.default_rng(1)
    due = np.cumsum(rng.exponential(1 / rate, int(rate * seconds)))
    users = rng.integers(0, N_USERS, len(due))
    latencies, statuses = np.zeros(len(due)), np.zeros(len(due), int)
    idle: asyncio.Queue[Any] = asyncio.Queue()
    for client in await open_clients(port, 128):
        idle.put_nowait(client)

    async def send(number: int, due_time: float) -> None:
        client = await idle.get()
        path = f"/v1/users/{users[number]}/recommendations?k={K}"
        statuses[number] = await client.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        latencies[number] = loop.time() - due_time
        idle.put_nowait(client)

    start, running = loop.time() + 0.1, set()
    for number, offset in enumerate(due):
        if (wait := start + offset - loop.time()) > 0:
            await asyncio.sleep(wait)
        task = loop.create_task(send(number, start + offset))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    p50, p95, p99, p999 = (np.percentile(latencies, [50, 95, 99, 99.9]) * 1000).tolist()
    return {
        "requests": len(due), "per_second": len(due) / float(due[-1]), "p50_ms": p50,
        "p95_ms": p95, "p99_ms": p99, "p99.9_ms": p999, "max_ms": float(latencies.max() * 1000),
        "not_200": int((statuses != 200).sum()),
    }  # fmt: skip


def measure(address: str, bundle: Path, rate: float, seconds: float) -> dict[str, Any]:
    """Publish to a store, serve it, and measure the service."""
    publish(address)
    serving = Serving(bundle, "--store", address)
    try:
        for name, value in (("warm_up", 2.0), ("measured", seconds)):
            command = [sys.executable, "-m", "benchmarks.serve_stored", "--generate"]
            process = subprocess.run(
                [*command, str(serving.port), str(rate), str(value)],
                stdout=subprocess.PIPE, check=True, text=True,
            )  # fmt: skip
            if name == "warm_up":
                before, seconds_before = serving.get("/metrics"), cpu_seconds(serving)
        after, seconds_after = serving.get("/metrics"), cpu_seconds(serving)
    finally:
        serving.stop()
    load = json.loads(process.stdout)
    kinds = ("stored", "history", "popular")
    sources = {s: _n_answers_from(after, s) - _n_answers_from(before, s) for s in kinds}
    not_stored = load["requests"] - sources["stored"]
    met = load["p99_ms"] < GOALS["p99_ms"] and not_stored == 0
    cost = {
        name: 1000 * (seconds_after[name] - seconds_before[name]) / load["requests"]
        for name in seconds_after
    }
    return {
        **load, "processor_ms_per_request": cost, "load_average": os.getloadavg()[0],
        "sources": sources, "not_stored": not_stored, "met": met,
    }  # fmt: skip


def cpu_seconds(serving: Serving) -> dict[str, float]:
    """Return the CPU seconds so far of the service, of PostgreSQL and of the load."""
    load = resource.getrusage(resource.RUSAGE_CHILDREN)
    database = 0.0
    for folder in Path("/proc").iterdir():
        # A process can end while its files are read.
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and (folder / "comm").read_text().startswith("postgres"):
                database += _cpu_seconds_of(int(folder.name))
    return {
        "service": _cpu_seconds_of(serving.process.pid),
        "postgres": database,
        "load": load.ru_utime + load.ru_stime,
    }


def _cpu_seconds_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _n_answers_from(text: str, source: str) -> int:
    match = re.search(rf'^nearfar_recommendations_total{{source="{source}"}} (\S+)$', text, re.M)
    return int(float(match[1])) if match else 0


@contextlib.contextmanager
def store(kind: str, folder: Path) -> Iterator[str]:
    """Yield the address of an empty store."""
    if kind == "postgres":
        with postgres.running(fsync="off") as server:
            yield server.url
    else:
        yield f"sqlite:///{folder}/r.db" if kind == "sqlite" else str(folder / "recommendations")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=1000, help="requests per second")
    parser.add_argument("--seconds", type=float, default=60, help="seconds per store")
    parser.add_argument(
        "--kinds", default="postgres", help="comma-separated stores: postgres, sqlite, parquet"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/serve_stored.json"))
    parser.add_argument("--generate", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.generate:
        port, rate, seconds = arguments.generate
        print(json.dumps(asyncio.run(at_rate(int(port), float(rate), float(seconds)))))
        return
    result: dict[str, Any] = {"users": N_USERS, "k": K, "goals": GOALS}
    with tempfile.TemporaryDirectory() as name:
        bundle = random_bundle(Path(name) / "bundle")
        for kind in arguments.kinds.split(","):
            with store(kind, Path(name)) as address:
                result[kind] = measure(address, bundle, arguments.rate, arguments.seconds)
            print(json.dumps({kind: result[kind]}, indent=2))
    write_json(arguments.out, {**result, "provenance": provenance()})


if __name__ == "__main__":
    main()
