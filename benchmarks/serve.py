"""The HTTP service: latency, throughput against the model alone, memory, startup.

    python -m benchmarks.serve [--requests 360000] [--out benchmarks/serve.json]
    python -m benchmarks.serve --only startup_onnx      # measures this part again

A Mult-VAE of MovieLens-20M's size (20,108 items, 600-200-600) with random weights, which takes as
long as a fitted one; histories of 40 random items, twenty recommendations. The service is
`nearfar serve` with its defaults; the load generator is a separate process on the same machine.

latency: requests form a Poisson process of 100 per second. The time of a request starts when it was
due, so that stalls of the service count.
throughput: 96 connections send requests without a pause. The model alone is then called in a
process without a service, with the batch sizes that the service had, and as many threads.
memory: the resident set of the process during `--requests` requests at 100 per second, or, with
`--fast`, without a pause. The first tenth is ignored.
startup: from the start of the process until it answers, and the time of `import torch` alone.
startup_onnx: the same for an export with `--runtime onnx`, and `import onnxruntime` alone.
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
N_BODIES = 2000


def random_bundle(folder: Path) -> Path:
    """Save a bundle of this size with random weights, and return its path."""
    import torch

    import nearfar as nf
    from nearfar.bundle.bundle import BundleMetadata
    from nearfar.models.autoencoder import Architecture, Autoencoder
    from nearfar.vae.corruption.corruption import Dropout
    from nearfar.vae.encoders.base import Base

    architecture = Architecture(N_ITEMS, 200, Base(), (600,), Dropout())
    network = architecture.build(torch.Generator().manual_seed(0))
    model = Autoencoder(architecture, network, np.arange(N_ITEMS)[::-1], 1000)
    return nf.save_bundle(
        nf.Bundle(model, nf.Vocabulary(range(N_ITEMS)), BundleMetadata("multvae")), folder
    )


class Serving:
    """`nearfar serve` in a process.

    Args:
        bundle: bundle or export to serve.
        *options: further options of `nearfar serve`.
    """

    def __init__(self, bundle: Path, *options: str) -> None:
        started = time.perf_counter()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        program = Path(sys.executable).with_name("nearfar")
        command = [program, "serve", "--bundle", bundle, "--port", "0", *options]
        self.process = subprocess.Popen(command, stderr=self._log)
        self.port = 0
        while not self._is_ready():
            if self.process.poll() is not None:
                raise SystemExit(self._log_text())
            time.sleep(0.01)
        self.startup_seconds = time.perf_counter() - started

    def _log_text(self) -> str:
        self._log.seek(0)
        return self._log.read().decode()

    def _is_ready(self) -> bool:
        if not self.port:
            match = re.search(r'"event":"listening".*"port":(\d+)', self._log_text())
            self.port = int(match[1]) if match else 0
        try:
            return bool(self.port) and bool(self.get("/readyz"))
        except OSError:
            return False

    def get(self, path: str) -> str:
        """Return the text at a path of the service."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as response:
            return response.read().decode()

    def metric(self, name: str) -> float:
        """Return a value of /metrics."""
        match = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics"), re.MULTILINE)
        if match is None:
            raise SystemExit(f"/metrics has no metric {name}")
        return float(match[1])

    def rss_mib(self) -> float:
        """Return the resident set of the process in MiB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", text)[0]) / 1024

    def stop(self) -> None:
        """End the service."""
        self.process.terminate()
        self.process.wait()
        self._log.close()


def requests() -> list[bytes]:
    """Return requests with headers and bodies, ready to send."""
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(N_BODIES):
        items = rng.choice(N_ITEMS, N_HISTORY, replace=False).tolist()
        body = json.dumps({"items": items, "k": K}).encode()
        head = (
            "POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        messages.append(head.encode() + body)
    return messages


class Client(asyncio.Protocol):
    """A connection with one request at a time; an HTTP library would take too much CPU time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._response: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """Send a request and return a future of the status of its response."""
        self._response = asyncio.get_running_loop().create_future()
        self._transport.write(request)  # pyright: ignore[reportAttributeAccessIssue]
        return self._response

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self._response is None:
            return
        start = self._buffer.find(b"content-length: ") + 16
        length = int(self._buffer[start : self._buffer.find(b"\r", start)])
        if len(self._buffer) >= end + 4 + length:
            status, self._buffer = int(self._buffer[9:12]), b""
            self._response.set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._response is not None and not self._response.done():
            self._response.set_exception(exc or ConnectionResetError())


async def open_clients(port: int, n: int) -> list[Client]:
    """Open n connections."""
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(Client, "127.0.0.1", port))[1] for _ in range(n)]


async def at_rate(port: int, n: int, rate: float) -> dict[str, Any]:
    """Measure the latency of n requests that form a Poisson process of this rate."""
    bodies, loop = requests(), asyncio.get_running_loop()
    idle: asyncio.Queue[Client] = asyncio.Queue()
    for client in await open_clients(port, 64):
        idle.put_nowait(client)
    due = np.cumsum(np.random.default_rng(1).exponential(1 / rate, n))
    seconds, statuses = np.zeros(n), np.zeros(n, int)

    async def send(number: int, due_time: float) -> None:
        client = await idle.get()
        statuses[number] = await client.ask(bodies[number % N_BODIES])
        seconds[number] = loop.time() - due_time
        idle.put_nowait(client)

    start, running = loop.time() + 0.1, set()
    for number in range(n):
        due_time = start + due[number]
        if (wait := due_time - loop.time()) > 0:
            await asyncio.sleep(wait)
        task = loop.create_task(send(number, due_time))
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
    """Measure the throughput of n requests over connections that send without a pause."""
    bodies = requests()
    clients = await open_clients(port, connections)
    numbers = iter(range(n))
    n_failed = 0

    async def keep_asking(client: Client) -> None:
        nonlocal n_failed
        for number in numbers:
            n_failed += await client.ask(bodies[number % N_BODIES]) != 200

    started = time.perf_counter()
    await asyncio.gather(*(keep_asking(client) for client in clients))
    seconds = time.perf_counter() - started
    return {
        "requests": n,
        "connections": connections,
        "per_second": n / seconds,
        "not_200": n_failed,
    }


def generate(kind: str, port: int, *numbers: float) -> dict[str, Any]:
    """Run a load generator in a separate process and return what it measured."""
    command = [sys.executable, "-m", "benchmarks.serve", "--generate", kind, str(port)]
    process = subprocess.run(
        [*command, *map(str, numbers)], stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(process.stdout)


def model_alone(bundle: Path, batch: float, threads: int, seconds: float) -> dict[str, Any]:
    """Measure the model's top-k, in a mixture of the two batch sizes next to the mean `batch`."""
    import torch
    from scipy.sparse import csr_array

    from nearfar.bundle.folder import load_bundle

    torch.set_num_threads(threads)
    model = load_bundle(bundle).model
    rng = np.random.default_rng(0)
    low = int(batch)
    sizes = [low + 1 if rng.random() < batch - low else low for _ in range(200)]
    items = [rng.choice(N_ITEMS, N_HISTORY, replace=False) for _ in range(256)]
    data = np.ones(N_HISTORY, np.float32)
    rows = [csr_array((data, np.sort(i), [0, N_HISTORY]), shape=(1, N_ITEMS)) for i in items]
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
    """Measure the resident set of the service during n requests."""
    kind, numbers = ("flat_out", (n, 32)) if fast else ("at_rate", (n, RATE))
    command = [sys.executable, "-m", "benchmarks.serve", "--generate", kind, str(serving.port)]
    load = subprocess.Popen([*command, *map(str, numbers)], stdout=subprocess.PIPE, text=True)
    samples = []
    while load.poll() is None:
        samples.append(serving.rss_mib())
        time.sleep(1)
    load_record = json.loads(load.communicate()[0])
    settled = samples[len(samples) // 10 :]
    third = max(1, len(settled) // 3)
    return {
        "requests": n,
        "first_mib": samples[0],
        "settled_mib": settled[0],
        "last_mib": settled[-1],
        "peak_mib": max(samples),
        "growth_mib": float(np.median(settled[-third:]) - np.median(settled[:third])),
        "load": load_record,
    }


def import_seconds(module: str) -> float:
    """Return the least seconds of three imports, each in a new process."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
        times.append(time.perf_counter() - started)
    return min(times)


def startup_times(bundle: Path, *options: str) -> list[float]:
    """Return the seconds until the service answers, of three starts."""
    seconds = []
    for _ in range(3):
        serving = Serving(bundle, *options)
        seconds.append(serving.startup_seconds)
        serving.stop()
    return seconds


def startup_onnx(folder: Path, bundle: Path) -> dict[str, Any]:
    """Measure the startup of a service without PyTorch."""
    program = Path(sys.executable).with_name("nearfar")
    command = [program, "export", bundle, "--format", "onnx", "--out", folder / "onnx", "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    import_time = import_seconds("onnxruntime")
    seconds = min(startup_times(folder / "onnx", "--runtime", "onnx"))
    return {
        "seconds": seconds,
        "import_onnxruntime_seconds": import_time,
        "over_onnxruntime": seconds - import_time,
        "goal": GOALS["startup_seconds"],
        "met": seconds - import_time < GOALS["startup_seconds"],
        "provenance": provenance(),
    }


def renew_startup_onnx(out: Path) -> dict[str, Any]:
    """Measure this part again and replace it in the file."""
    with tempfile.TemporaryDirectory() as folder:
        startup = startup_onnx(Path(folder), random_bundle(Path(folder) / "bundle"))
    record = json.loads(out.read_text()) if out.exists() else {}
    write_json(out, {**record, "startup_onnx": startup})
    return startup


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure all parts and return the record."""
    threads = max(1, (os.cpu_count() or 2) - 1)
    with tempfile.TemporaryDirectory() as folder:
        bundle = random_bundle(Path(folder) / "bundle")
        torch_seconds = import_seconds("torch")
        torch_startups = startup_times(bundle)
        without_torch = startup_onnx(Path(folder), bundle)
        serving = Serving(bundle)
        try:
            generate("at_rate", serving.port, 200, RATE)
            latency = generate("at_rate", serving.port, arguments.latency_requests, RATE)
            users_before = serving.metric("nearfar_batch_users_sum")
            batches_before = serving.metric("nearfar_batch_users_count")
            throughput = generate("flat_out", serving.port, arguments.flat_requests, CONNECTIONS)
            users = serving.metric("nearfar_batch_users_sum") - users_before
            batches = serving.metric("nearfar_batch_users_count") - batches_before
            alone = model_alone(bundle, users / batches, threads, arguments.bare_seconds)
            memory_record = memory(serving, arguments.requests, arguments.fast)
        finally:
            serving.stop()
    over_torch = min(torch_startups) - torch_seconds
    share = throughput["per_second"] / alone["per_second"]
    return {
        "model": "Mult-VAE 20,108 items, 600-200-600, random weights",
        "threads": threads,
        "latency": latency,
        "throughput": {**throughput, "bare_model": alone, "of_bare_model": share},
        "memory": memory_record,
        "startup": {
            "seconds": min(torch_startups),
            "import_torch_seconds": torch_seconds,
            "over_torch": over_torch,
        },
        "startup_onnx": without_torch,
        "goals": GOALS,
        "met": {
            "latency": latency["p99_ms"] < GOALS["p99_ms"],
            "throughput": share >= GOALS["of_bare_model"],
            "memory": memory_record["growth_mib"] < GOALS["growth_mib"],
            "startup": over_torch < GOALS["startup_seconds"],
            "startup_onnx": without_torch["met"],
        },
        "provenance": provenance(),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--requests", type=int, default=360_000, help="requests while memory is measured"
    )
    parser.add_argument("--fast", action="store_true", help="send these without a pause")
    parser.add_argument("--latency-requests", type=int, default=6000, help="requests for latency")
    parser.add_argument("--flat-requests", type=int, default=20_000, help="requests for throughput")
    parser.add_argument(
        "--bare-seconds", type=float, default=10.0, help="seconds of the model alone"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument(
        "--only", choices=["startup_onnx"], help="measure one part and replace it in the file"
    )
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
