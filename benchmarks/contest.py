"""All that take part in a benchmark, each in a process of its own, asked in turns."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

import nearfar as nf
from benchmarks.peers import client
from benchmarks.peers.client import Peer, PeerError
from nearfar.core.files import write_json

SIDES = Path(__file__).parent / "sides"
SHARED = Path(__file__).parents[2] / "shared" / "data"
THREADS = 2

OWN: dict[str, tuple[str, ...]] = {
    "floor": ("floor.py", "mm"),
    "floor, oneDNN": ("floor.py", "onednn"),
    "nearfar": ("own.py", "float32"),
    "nearfar bf16": ("own.py", "bfloat16"),
    "nearfar fast": ("own.py", "float32", "fast"),
    "nearfar fast bf16": ("own.py", "bfloat16", "fast"),
    "nearfar fast-large": ("own.py", "float32", "fast-large"),
    "nearfar fast-large bf16": ("own.py", "bfloat16", "fast-large"),
}


class Side(Peer):
    """nearfar or the floor, run by this interpreter with arguments."""

    def __init__(self, name: str) -> None:
        script, *arguments = OWN[name]
        super().__init__(name, python=Path(sys.executable), adapter=SIDES / script)
        self.arguments = arguments

    def reason(self) -> str | None:
        return None


def everyone(own: list[str], only: list[str] | None) -> list[Peer]:
    """Our sides and the peers, or those of them that are asked for."""
    chosen = [Side(name) for name in own] + [Peer(name) for name in client.names()]
    return [side for side in chosen if only is None or side.name in only or side.name == "floor"]


@contextlib.contextmanager
def started(
    sides: list[Peer], train: scipy.sparse.csr_array, **settings: Any
) -> Iterator[tuple[dict[str, Peer], dict[str, str]]]:
    """Those that could be started, with the data loaded, and why the others could not."""
    alive: dict[str, Peer] = {}
    absent: dict[str, str] = {}
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.npz"
        scipy.sparse.save_npz(path, scipy.sparse.csr_matrix(train), compressed=False)
        for side in sides:
            try:
                stack.enter_context(side)
                seconds = side.load(path, timeout=1800, threads=THREADS, **settings)
                alive[side.name] = side
                print(f"{side.name}: loaded in {seconds:.1f} s", flush=True)
            except PeerError as error:
                absent[side.name] = str(error)
                print(f"{side.name}: {error}", flush=True)
        yield alive, absent


def interactions(shape: str, n_users: int | None = None) -> scipy.sparse.csr_array:
    """Training users of the synthetic shape, or of a real data set that is at hand."""
    if shape in ("ml-1m", "npm"):
        return real_split(shape).train.x
    x = nf.synthetic_interactions(shape).x
    return x[: n_users or x.shape[0] - 20_000]


def real_split(name: str) -> nf.Split:
    """MovieLens-1M with 600 + 600 held-out users, or the npm dependencies with 2,000 + 2,000.

    The seed is not one of those that results are reported for.
    """
    if name == "ml-1m":
        log = nf.read_log(SHARED / "ml-1m.zip", filters=nf.Filters(min_rating=4, min_user=5))
        return nf.split_strong(log, 600, seed=12345)
    log = nf.read_log(SHARED / "npm.parquet", user="package", item="dependency")
    return nf.split_strong(log, 2000, seed=12345)


def command(
    doc: str | None,
    out: Path,
    measure: Callable[[str, argparse.Namespace, list[str] | None], dict[str, Any]],
    show: Callable[[str, dict[str, Any]], None],
    **numbers: int | None,
) -> None:
    """The command line of a benchmark over shapes: measure each, write it, show it.

    `numbers` are further whole-number options with their defaults.
    """
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--shape", action="append", choices=["ml-20m", "ml-1m", "npm"])
    parser.add_argument("--only", help="sides, cut at commas; the floor always takes part")
    parser.add_argument("--out", type=Path, default=out)
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    found = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    only = arguments.only.split(",") if arguments.only else None
    for shape in arguments.shape or ["ml-20m", "ml-1m"]:
        found[shape] = measure(shape, arguments, only)
        write_json(arguments.out, found)
        show(shape, found[shape])
        for name, reason in found[shape]["absent"].items():
            print(f"{name} did not take part: {reason}")


def interval(values: list[float]) -> dict[str, float]:
    """The median and the quarters around it."""
    low, mid, high = np.percentile(values, [25, 50, 75])
    return {"median": float(mid), "low": float(low), "high": float(high), "n": len(values)}
