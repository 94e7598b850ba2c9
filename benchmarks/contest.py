"""The sides of a benchmark: nearfar, the floor and the peers, each in a separate process."""

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
from nearfar.tables.rules import RowRules
from nearfar.tables.table import ReadOptions

SIDES = Path(__file__).parent / "sides"
SHARED = Path(__file__).parents[2] / "shared" / "data"
THREADS = 2

COMMANDS: dict[str, tuple[str, ...]] = {
    "floor": ("floor.py", "mm"),
    "floor, oneDNN": ("floor.py", "onednn"),
    "nearfar": ("library.py", "float32"),
    "nearfar bf16": ("library.py", "bfloat16"),
    "nearfar fast": ("library.py", "float32", "fast"),
    "nearfar fast bf16": ("library.py", "bfloat16", "fast"),
    "nearfar defaults bf16": ("library.py", "bfloat16", "defaults"),
    "nearfar EDLAE": ("closed_form.py", "edlae"),
    "nearfar fast-large": ("library.py", "float32", "fast-large"),
    "nearfar fast-large bf16": ("library.py", "bfloat16", "fast-large"),
}
"""Side -> its script in `sides` and the arguments of the script."""


class Side(Peer):
    """nearfar or the floor, run by this interpreter.

    Args:
        name: a key of `COMMANDS`.
    """

    def __init__(self, name: str) -> None:
        script, *arguments = COMMANDS[name]
        super().__init__(name, python=Path(sys.executable), adapter=SIDES / script)
        self.arguments = arguments

    def reason(self) -> str | None:
        return None


def all_sides(names: list[str], only: list[str] | None) -> list[Peer]:
    """Return the sides of a benchmark.

    Args:
        names: sides of `COMMANDS`; all peers are added.
        only: names of the sides to return, or None for all; the floor is always returned.
    """
    sides = [Side(name) for name in names] + [Peer(name) for name in client.names()]
    return [side for side in sides if only is None or side.name in only or side.name == "floor"]


@contextlib.contextmanager
def started(
    sides: list[Peer], train: scipy.sparse.csr_array, **settings: Any
) -> Iterator[tuple[dict[str, Peer], dict[str, str]]]:
    """Start the sides and load the data into them.

    Args:
        sides: the sides to start.
        train: training users x items.
        **settings: settings of `protocol.Settings`.

    Yields:
        The started sides by name, and the reasons by name why the others did not start.
    """
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
    """Return training users x items of a synthetic shape or of a real data set.

    Args:
        shape: a synthetic shape, or "ml-1m" or "npm".
        n_users: number of synthetic users; by default all but 20,000.
    """
    if shape in ("ml-1m", "npm"):
        return real_split(shape).train.x
    x = nf.synthetic_interactions(shape).x
    return x[: n_users or x.shape[0] - 20_000]


def real_split(name: str) -> nf.Split:
    """Return MovieLens-1M with 600 + 600 held-out users, or npm dependencies with 2,000 + 2,000.

    No results are reported for the seed of this split.
    """
    if name == "ml-1m":
        log = nf.read_log(SHARED / "ml-1m.zip", filters=nf.Filters(min_rating=4, min_user=5))
        return nf.split_strong(log, 600, seed=12345)
    rules = ReadOptions(rules=RowRules(literal_ids=True))  # a package is called "na"
    npm = SHARED / "npm.parquet"
    log = nf.read_log(npm, user="package", item="dependency", options=rules)
    return nf.split_strong(log, 2000, seed=12345)


def command(
    doc: str | None,
    out: Path,
    measure: Callable[[str, argparse.Namespace, list[str] | None], dict[str, Any]],
    show: Callable[[str, dict[str, Any]], None],
    **numbers: int | None,
) -> None:
    """Run the command line of a benchmark over shapes: measure, write and show each shape.

    Args:
        doc: description for `--help`.
        out: default path of the record.
        measure: measures a shape with the options and the sides of `--only`.
        show: prints the result of a shape.
        **numbers: further integer options with their defaults.
    """
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--shape", action="append", choices=["ml-20m", "ml-1m", "npm"])
    parser.add_argument("--only", help="comma-separated sides; the floor is always run")
    parser.add_argument("--out", type=Path, default=out)
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    records = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    only = arguments.only.split(",") if arguments.only else None
    for shape in arguments.shape or ["ml-20m", "ml-1m"]:
        records[shape] = measure(shape, arguments, only)
        write_json(arguments.out, records)
        show(shape, records[shape])
        for name, reason in records[shape]["absent"].items():
            print(f"{name} was not measured: {reason}")


def interval(values: list[float]) -> dict[str, float]:
    """Return the median and the quartiles."""
    low, mid, high = np.percentile(values, [25, 50, 75])
    return {"median": float(mid), "low": float(low), "high": float(high), "n": len(values)}
