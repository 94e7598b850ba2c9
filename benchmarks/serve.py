"""The HTTP service: latency, throughput against the bare model, memory, startup.

    python -m benchmarks.serve [--requests 360000] [--out benchmarks/serve.json]
    python -m benchmarks.serve --only startup_onnx      # adds this part to the file, or renews it

A Mult-VAE of MovieLens-20M's size (20,108 items, 600-200-600) with fresh weights, since a fitted
one computes the same; histories of 40 random items, twenty recommendations. The service is
`nearfar serve` as it comes, the load generator a process of its own on the same machine.

latency: requests come at random moments (a Poisson process), 100 a second; the time of each counts
from the moment it should have been sent, so that a service that stalls cannot hide it.
throughput: 96 connections ask as fast as they are answered; the bare model is then called in a
process without a service, with the same batch sizes as the service had, and the same threads.
memory: the process's resident set while `--requests` requests come at 100 a second, or, with
`--fast`, as fast as they are answered; the first tenth is not counted.
startup: from the start of the process until it answers, and that of `import torch` alone.
startup_onnx: the same of an export served with `--runtime onnx`, and of `import onnxruntime` alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import provenance
from nearfar.core.files import write_json

N_ITEMS, N_HISTORY, K, RATE, CONNECTIONS = 20_108, 40, 20, 100, 96
GOALS = {"p99_ms": 30.0, "of_bare_model": 0.6, "startup_seconds": 3.0, "growth_mib": 16.0}
BODIES = 2000


def fresh_bundle(folder: Path) -> Path:
    """A bundle of the size with weights that were never fitted, on disk."""
    import torch

    import nearfar as nf
    from nearfar.bundle.bundle import About
    from nearfar.models.autoencoder import Architecture, Autoencoder
    from nearfar.vae.corruption.corruption import Dropout
    from nearfar.vae.encoders.base import Base

    architecture = Architecture(N_ITEMS, 200, Base(), (600,), Dropout())
    network = architecture.build(torch.Generator().manual_seed(0))
    model = Autoencoder(architecture, network, np.arange(N_ITEMS)[::-1], 1000)
    return nf.save_bundle(nf.Bundle(model, nf.Vocabulary(range(N_ITEMS)), About("multvae")), folder)


class Serving:
    """`nearfar serve` as a process."""

    def __init__(self, bundle: Path, *options: str) -> None:
        started = time.perf_counter()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        program = Path(sys.executable).with_name("nearfar")
        command = [program, "serve", "--bundle", bundle, "--port", "0", *options]
        self.process = subprocess.Popen(command, stderr=self._log)
        self.port = 0
        while not self._answers():
            if self.process.poll() is not None:
                raise SystemExit(self._read())
            time.sleep(0.01)
        self.startup_seconds = time.perf_counter() - started

    def _read(self) -> str:
        self._log.seek(0)
        return self._log.read().decode()

    def _answers(self) -> bool:
        if not self.port:
            found = re.search(r'"event":"listening".*"port":(\d+)', self._read())
            self.port = int(found[1]) if found else 0
        try:
            return bool(self.port) and bool(self.get("/readyz"))
        except OSError:
            return False

    def get(self, path: str) -> str:
        """The text at a path."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as answer:
            return answer.read().decode()

    def metric(self, name: str) -> float:
        """One number of /metrics."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics"), re.MULTILINE)
        if found is None:
            raise SystemExit(f"no metric {name}")
        return float(found[1])

    def rss_mib(self) -> float:
        """The resident set."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", text)[0]) / 1024

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()
        self._log.close()


def requests() -> list[bytes]:
    """Whole requests, ready to be sent."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(BODIES):
        items = rng.choice(N_ITEMS, N_HISTORY, replace=False).tolist()
        body = json.dumps({"items": items, "k": K}).encode()
        head = (
            "POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


class Client(asyncio.Protocol):
    """A connection that asks one thing at a time; no HTTP library, so that little is spent here."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """The status of the answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)  # pyright: ignore[reportAttributeAccessIssue]
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self._answer is None:
            return
        at = self._buffer.find(b"content-length: ") + 16
        length = int(self._buffer[at : self._buffer.find(b"\r", at)])
        if len(self._buffer) >= end + 4 + length:
            status, self._buffer = int(self._buffer[9:12]), b""
            self._answer.set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError())


async def open_clients(port: int, n: int) -> list[Client]:
    """Connections."""
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(Client, "127.0.0.1", port))[1] for _ in range(n)]


async def at_rate(port: int, n: int, rate: float) -> dict[str, Any]:
    """Latency of requests that come at random moments."""
    bodies, loop = requests(), asyncio.get_running_loop()
    idle: asyncio.Queue[Client] = asyncio.Queue()
    for client in await open_clients(port, 64):
        idle.put_nowait(client)
    due = np.cumsum(np.random.default_rng(1).exponential(1 / rate, n))
    seconds, statuses = np.zeros(n), np.zeros(n, int)

    async def one(number: int, moment: float) -> None:
        client = await idle.get()
        statuses[number] = await client.ask(bodies[number % BODIES])
        seconds[number] = loop.time() - moment
        idle.put_nowait(client)

    start, running = loop.time() + 0.1, set()
    for number in range(n):
        moment = start + due[number]
        if (wait := moment - loop.time()) > 0:
            await asyncio.sleep(wait)
        task = loop.create_task(one(number, moment))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    quantiles = np.percentile(seconds, [50, 95, 99, 99.9]) * 1000
    return {
        "requests": n,
        "per_second": rate,
        **dict(zip(("p50_ms", "p95_ms", "p99_ms", "p99.9_ms"), quantiles.tolist(), strict=True)),
        "max_ms": float(seconds.max() * 1000),
        "not_200": int((statuses != 200).sum()),
    }


async def flat_out(port: int, n: int, connections: int) -> dict[str, Any]:
    """Requests as fast as they are answered."""
    bodies = requests()
    clients = await open_clients(port, connections)
    left = iter(range(n))
    failed = 0

    async def keep_asking(client: Client) -> None:
        nonlocal failed
        for number in left:
            failed += await client.ask(bodies[number % BODIES]) != 200

    started = time.perf_counter()
    await asyncio.gather(*(keep_asking(client) for client in clients))
    seconds = time.perf_counter() - started
    return {"requests": n, "connections": connections, "per_second": n / seconds, "not_200": failed}


def generate(kind: str, port: int, *numbers: float) -> dict[str, Any]:
    """A load in a process of its own; what it measured."""
    command = [sys.executable, "-m", "benchmarks.serve", "--generate", kind, str(port)]
    done = subprocess.run(
        [*command, *map(str, numbers)], stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(done.stdout)


def bare(bundle: Path, batch: float, threads: int, seconds: float) -> dict[str, Any]:
    """The model's own top-k, a mixture of the two whole batch sizes around the mean."""
    import torch
    from scipy.sparse import csr_array

    from nearfar.bundle.folder import load_bundle

    torch.set_num_threads(threads)
    model = load_bundle(bundle).model
    rng = np.random.default_rng(0)
    low = int(batch)
    sizes = [low + 1 if rng.random() < batch - low else low for _ in range(200)]
    dense = [rng.choice(N_ITEMS, N_HISTORY, replace=False) for _ in range(256)]
    data = np.ones(N_HISTORY, np.float32)
    rows = [csr_array((data, np.sort(d), [0, N_HISTORY]), shape=(1, N_ITEMS)) for d in dense]
    from scipy.sparse import vstack

    batches = [csr_array(vstack(rows[:size], format="csr")) for size in sizes]
    for histories in batches[:5]:
        model.top_k(histories, K)
    started, n_users, number = time.perf_counter(), 0, 0
    while time.perf_counter() - started < seconds:
        histories = batches[number % len(batches)]
        model.top_k(histories, K)
        n_users += histories.shape[0]
        number += 1
    return {"mean_batch": batch, "per_second": n_users / (time.perf_counter() - started)}


def memory(serving: Serving, n: int, fast: bool) -> dict[str, Any]:
    """The resident set over many requests."""
    kind, numbers = ("flat_out", (n, 32)) if fast else ("at_rate", (n, RATE))
    command = [sys.executable, "-m", "benchmarks.serve", "--generate", kind, str(serving.port)]
    load = subprocess.Popen([*command, *map(str, numbers)], stdout=subprocess.PIPE, text=True)
    samples = []
    while load.poll() is None:
        samples.append(serving.rss_mib())
        time.sleep(1)
    told = json.loads(load.communicate()[0])
    settled = samples[len(samples) // 10 :]
    third = max(1, len(settled) // 3)
    return {
        "requests": n,
        "first_mib": samples[0],
        "settled_mib": settled[0],
        "last_mib": settled[-1],
        "peak_mib": max(samples),
        "growth_mib": float(np.median(settled[-third:]) - np.median(settled[:third])),
        "load": told,
    }


def import_seconds(module: str) -> float:
    """The best of three imports in a fresh process."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
        times.append(time.perf_counter() - started)
    return min(times)


def starts(bundle: Path, *options: str) -> list[float]:
    """Seconds until the service answers, three times."""
    found = []
    for _ in range(3):
        serving = Serving(bundle, *options)
        found.append(serving.startup_seconds)
        serving.stop()
    return found


def startup_onnx(folder: Path, bundle: Path) -> dict[str, Any]:
    """The start of a service without PyTorch."""
    program = Path(sys.executable).with_name("nearfar")
    command = [program, "export", bundle, "--format", "onnx", "--out", folder / "onnx", "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    alone = import_seconds("onnxruntime")
    seconds = min(starts(folder / "onnx", "--runtime", "onnx"))
    return {
        "seconds": seconds,
        "import_onnxruntime_seconds": alone,
        "over_onnxruntime": seconds - alone,
        "goal": GOALS["startup_seconds"],
        "met": seconds - alone < GOALS["startup_seconds"],
        "provenance": provenance(),
    }


def renew_startup_onnx(out: Path) -> dict[str, Any]:
    """This part alone; the rest of the file stays."""
    with tempfile.TemporaryDirectory() as folder:
        found = startup_onnx(Path(folder), fresh_bundle(Path(folder) / "bundle"))
    before = json.loads(out.read_text()) if out.exists() else {}
    write_json(out, {**before, "startup_onnx": found})
    return found


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """All of it."""
    threads = max(1, (os.cpu_count() or 2) - 1)
    with tempfile.TemporaryDirectory() as folder:
        bundle = fresh_bundle(Path(folder) / "bundle")
        torch_seconds = import_seconds("torch")
        torch_starts = starts(bundle)
        without_torch = startup_onnx(Path(folder), bundle)
        serving = Serving(bundle)
        try:
            generate("at_rate", serving.port, 200, RATE)
            latency = generate("at_rate", serving.port, arguments.latency_requests, RATE)
            before = (
                serving.metric("nearfar_batch_users_sum"),
                serving.metric("nearfar_batch_users_count"),
            )
            through = generate("flat_out", serving.port, arguments.flat_requests, CONNECTIONS)
            users = serving.metric("nearfar_batch_users_sum") - before[0]
            batches = serving.metric("nearfar_batch_users_count") - before[1]
            alone = bare(bundle, users / batches, threads, arguments.bare_seconds)
            grown = memory(serving, arguments.requests, arguments.fast)
        finally:
            serving.stop()
    over_torch = min(torch_starts) - torch_seconds
    share = through["per_second"] / alone["per_second"]
    return {
        "model": "Mult-VAE 20,108 items, 600-200-600, random weights",
        "threads": threads,
        "latency": latency,
        "throughput": {**through, "bare_model": alone, "of_bare_model": share},
        "memory": grown,
        "startup": {
            "seconds": min(torch_starts),
            "import_torch_seconds": torch_seconds,
            "over_torch": over_torch,
        },
        "startup_onnx": without_torch,
        "goals": GOALS,
        "met": {
            "latency": latency["p99_ms"] < GOALS["p99_ms"],
            "throughput": share >= GOALS["of_bare_model"],
            "memory": grown["growth_mib"] < GOALS["growth_mib"],
            "startup": over_torch < GOALS["startup_seconds"],
            "startup_onnx": without_torch["met"],
        },
        "provenance": provenance(),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=360_000, help="of the memory's run")
    parser.add_argument("--fast", action="store_true", help="these as fast as they are answered")
    parser.add_argument("--latency-requests", type=int, default=6000)
    parser.add_argument("--flat-requests", type=int, default=20_000)
    parser.add_argument("--bare-seconds", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--only", choices=["startup_onnx"], help="one part, into the same file")
    parser.add_argument("--generate", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.generate:
        kind, port, n, number = arguments.generate
        load = at_rate if kind == "at_rate" else flat_out
        value = float(number) if kind == "at_rate" else int(float(number))
        print(json.dumps(asyncio.run(load(int(port), int(float(n)), value))))  # pyright: ignore
        return
    if arguments.only:
        print(json.dumps(renew_startup_onnx(arguments.out), indent=2))
        return
    result = measure(arguments)
    write_json(arguments.out, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
