"""Small services: in the process, and as a program on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import save_bundle
from nearfar.core.files import write_json
from nearfar.core.vocabulary import Vocabulary
from nearfar.web.app import make_app
from nearfar.web.service import Service
from nearfar.web.settings import ServiceSettings
from tests.bundle.cases import ABOUT, make_bundle, make_model
from tests.waiting import PATIENCE

"""Seconds after which a test gives up waiting for an event; reached only where it never comes."""


def bundles(folder: Path, *kinds: str, text: bool = False) -> dict[str, Path]:
    """Bundles of some kinds on disk, by kind."""
    return {
        kind: save_bundle(make_bundle(kind, text=text), folder / kind)
        for kind in kinds or ("autoencoder",)
    }


def film_bundle() -> Bundle:
    """An autoencoder over films with the titles that people mistype."""
    titles = [
        "Toy Story (1995)", "Star Wars (1977)", "Fargo (1996)", "Godfather, The (1972)",
        "Toy Story 2 (1999)", "WALL·E (2008)", "Amélie (2001)", "Hamlet (1996)",
        "Lord of the Rings, The: The Fellowship of the Ring (2001)", "Heat (1995)",
        "Hamlet (2000)", None,
    ]  # fmt: skip
    items = Vocabulary(list(range(1, 13)), pl.DataFrame({"title": titles}))
    return Bundle(make_model("autoencoder"), items, replace(ABOUT, algorithm="pia"))


def version(registry: Path, name: str, bundle: Bundle) -> None:
    """A version in a registry, not yet current."""
    save_bundle(bundle, registry / "versions" / name / "bundle")


def point(registry: Path, name: str) -> None:
    """Make a version current."""
    write_json(registry / "current.json", {"version": name, "before": [], "moved": ""})


def pass_seconds(seconds: float) -> None:
    """Move the clock of the running event loop forward, so that timers are due without a wait."""
    loop = asyncio.get_running_loop()
    now = loop.time
    loop.time = lambda: now() + seconds


class Answering:
    """A service in this process, asked through ASGI in one event loop."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.service = Service(settings)
        self.service.load()
        self.app = make_app(self.service)

    def run(self, asking: Callable[[httpx.AsyncClient], Coroutine[Any, Any, Any]]) -> Any:
        """What the coroutine returns, that is given a client."""

        async def inside() -> Any:
            transport = httpx.ASGITransport(self.app)
            async with (
                self.service.running(),
                httpx.AsyncClient(transport=transport, base_url="http://test") as client,
            ):
                return await asking(client)

        return asyncio.run(inside())

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One answer."""
        return self.run(lambda client: client.request(method, path, **options))

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        """The answer to a body in JSON."""
        return self.ask("POST", path, json=body, **options)


class Program:
    """`nearfar serve` as a program of its own on a free port.

    Its deadline is `PATIENCE` unless one is given, so that a busy machine is no reason for a 504.
    """

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        if "--deadline" not in arguments:
            arguments = (*arguments, "--deadline", str(PATIENCE))
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("NEARFAR")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.web.program", "serve", "--port", "0", *arguments],
            stderr=subprocess.PIPE, text=True,
            env={**inherited, "OMP_NUM_THREADS": "1", **(environment or {})},
        )  # fmt: skip
        self.lines: list[str] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        found = self.wait_for(r'"event":"listening".*"port":(\d+)')
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.until(lambda: self._answers())

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reading.join()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def get(self, path: str) -> httpx.Response:
        """The answer to a GET, however busy the machine is."""
        return httpx.get(f"{self.url}{path}", timeout=PATIENCE)

    def post(self, path: str, body: Any) -> Any:
        """The JSON of the answer to a POST of JSON."""
        return httpx.post(f"{self.url}{path}", json=body, timeout=PATIENCE).json()

    def stop(self, seconds: float = PATIENCE) -> int:
        """Tell it to stop and read its log to the end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        self._reading.join()
        return code

    def log(self) -> list[dict[str, Any]]:
        """The log so far, whole after :meth:`stop`; every line is JSON.

        The lines of a request may be written after its answer is: to assert one, stop first.
        """
        return [json.loads(line) for line in list(self.lines)]

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line of the log that matches."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found.extend(m for line in list(self.lines) if (m := re.search(pattern, line)))
            assert found or self.process.poll() is None, "\n".join(self.lines)
            return bool(found)

        self.until(look)
        return found[0]

    @staticmethod
    def until(done: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait for a condition."""
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            return self.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))


def brute_force(bundle: Bundle, positions: list[int], k: int) -> list[int]:
    """The best k by the model's dense scores, without the history's own."""
    dense = np.zeros((1, bundle.n_items), np.float32)
    dense[0, positions] = 1
    from scipy.sparse import csr_array

    scores = bundle.model.score(csr_array(dense))[0]
    scores[positions] = -np.inf
    return np.argsort(-scores, kind="stable")[:k].tolist()
