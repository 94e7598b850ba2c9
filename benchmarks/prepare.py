"""From a log of twenty million ratings to a split: nearfar against the published way in pandas.

    python -m benchmarks.prepare [--rows 20000263] [--rounds 2] [--out benchmarks/prepare.json]

The ratings.csv is made up (`nearfar.data.synthetic`) in the layout and of the size of
MovieLens-20M's, stars in its shares, and is deleted afterwards. Three tasks take turns, each in a
process of its own:

    split   nearfar: read, filter, split, save the split's folder
    pandas  the published preparation (`benchmarks.reference_split`): the same to CSV files
    csr     nearfar: read, filter, sparse matrix; the goal is 20 s

Seconds are those of the work without imports, memory is the process's peak. Last, both splits are
held against each other, pair by pair. The floor is reading the file's bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import ROOT, provenance
from nearfar.core.files import write_json

ROWS, USERS, ITEMS, HELD_OUT = 20_000_263, 138_493, 26_744, 10_000
STARS = (239125, 680732, 279252, 1430997, 883398, 4291193, 2200156, 5561926, 1534824, 2898660)
GOAL_SECONDS = 20.0
TASKS = ("split", "pandas", "csr")
RATINGS, SPLIT, REFERENCE = "ratings.csv", "split", "reference"


def write_ratings(folder: Path, n_rows: int) -> dict[str, Any]:
    """A ratings.csv of MovieLens-20M's layout, sorted by user and film, no pair twice.

    Fewer rows are of fewer users, as active ones.
    """
    import numpy as np
    import polars as pl

    import nearfar as nf

    n_users = max(100, round(USERS * n_rows / ROWS))
    x = nf.synthetic_interactions(nf.Synthetic(n_users, ITEMS, n_rows, min_user=20)).x
    rng = np.random.default_rng(0)
    shares = np.array(STARS) / sum(STARS)
    frame = pl.DataFrame(
        {
            "userId": np.repeat(np.arange(1, n_users + 1), np.diff(x.indptr)),
            "movieId": x.indices + 1,
            "rating": (1 + rng.choice(10, n_rows, p=shares)) / 2,
            "timestamp": rng.integers(789_652_009, 1_427_784_002, n_rows),
        }
    )
    frame.write_csv(folder / RATINGS)
    return {"file_mib": (folder / RATINGS).stat().st_size / 2**20, "users": n_users}


def measure_split(folder: Path, n_held_out: int) -> dict[str, Any]:
    """nearfar, from the file to a split's folder."""
    import nearfar as nf
    from nearfar.data.splits.folder import save_split
    from nearfar.data.splits.strong import split_strong

    filters = nf.Filters(min_rating=4, min_user=5)
    started = time.perf_counter()
    log = nf.read_log(folder / RATINGS, filters=filters)
    read = time.perf_counter()
    split = split_strong(log, n_held_out)
    cut = time.perf_counter()
    save_split(split, folder / SPLIT)
    ended = time.perf_counter()
    stages = {"read_and_filter": read - started, "split": cut - read, "save": ended - cut}
    return {"seconds": ended - started, "stages": stages, "rows_kept": log.n_events}


def measure_pandas(folder: Path, n_held_out: int) -> dict[str, Any]:
    """The published way, from the file to CSV files."""
    from benchmarks.reference_split import prepare

    started = time.perf_counter()
    kept = prepare(folder / RATINGS, folder / REFERENCE, n_held_out)
    return {"seconds": time.perf_counter() - started, "rows_kept": kept}


def measure_csr(folder: Path, n_held_out: int) -> dict[str, Any]:
    """nearfar, from the file to a filtered sparse matrix."""
    import scipy.sparse  # noqa: F401 - the import is not part of the work

    import nearfar as nf

    filters = nf.Filters(min_rating=4, min_user=5)
    started = time.perf_counter()
    log = nf.read_log(folder / RATINGS, filters=filters)
    read = time.perf_counter()
    x = log.interactions().x
    ended = time.perf_counter()
    stages = {"read_and_filter": read - started, "csr": ended - read}
    return {"seconds": ended - started, "stages": stages, "rows_kept": int(x.nnz)}


def compare_splits(folder: Path, n_held_out: int) -> dict[str, Any]:
    """Rows of both splits, and whether users, items and pairs are the same."""
    import numpy as np
    import polars as pl

    import nearfar as nf
    from benchmarks.reference_split import PARTS

    split = nf.load_split(folder / SPLIT)
    halves = (split.validation, split.test)
    sides = [side for half in halves for side in (half.fold_in, half.held_out)]
    users, items = (
        np.array((folder / REFERENCE / f"{name}.txt").read_text().split(), np.int64)
        for name in ("unique_uid", "unique_sid")
    )
    rows, same = {}, bool(np.array_equal(split.train.item_ids.ids.to_numpy(), items))
    ours = [part.user_ids.ids.to_numpy() for part in (split.train, *sides[::2])]
    same &= np.array_equal(np.concatenate(ours), users)
    for name, part in zip(PARTS, (split.train, *sides), strict=True):
        theirs = pl.read_csv(folder / REFERENCE / f"{name}.csv")
        expected = users[theirs["uid"].to_numpy()] << 32 | items[theirs["sid"].to_numpy()]
        row, column = part.x.nonzero()
        user, item = part.user_ids.ids.to_numpy()[row], part.item_ids.ids.to_numpy()[column]
        found = user << 32 | item
        rows[name] = {"nearfar": len(found), "pandas": len(expected)}
        same &= np.array_equal(np.sort(found), np.sort(expected))
    return {"same": bool(same), "rows": rows}


CHILDREN = {
    "write": write_ratings,
    "split": measure_split,
    "pandas": measure_pandas,
    "csr": measure_csr,
    "compare": compare_splits,
}


def in_child(name: str, folder: Path, number: int) -> dict[str, Any]:
    """The result of one of CHILDREN, with the peak of its process.

    A process starts with the peak of the one that started it, so that this one stays small.
    """
    command = [sys.executable, "-m", "benchmarks.prepare", "--child", name]
    command += ["--folder", str(folder), "--number", str(number)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout)


def floor_seconds(path: Path) -> float:
    """How long the file's bytes take to read."""
    started = time.perf_counter()
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass
    return time.perf_counter() - started


def measure(n_rows: int, n_rounds: int) -> dict[str, Any]:
    """All results, JSON-able."""
    n_held_out = max(10, round(HELD_OUT * n_rows / ROWS))
    rounds: dict[str, list[dict[str, Any]]] = {task: [] for task in TASKS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = in_child("write", folder, n_rows)
        floor = floor_seconds(folder / RATINGS)
        for number in range(n_rounds):
            for task in TASKS:
                if number and task == "pandas":
                    (folder / REFERENCE).rename(folder / f"{REFERENCE} {number}")
                rounds[task].append(in_child(task, folder, n_held_out))
        compared = in_child("compare", folder, n_held_out)
    typical = {
        task: {key: median(r[key] for r in runs) for key in ("seconds", "peak_mib")}
        for task, runs in rounds.items()
    }
    return {
        "rows": n_rows,
        "users": written["users"],
        "held_out_users": n_held_out,
        "file_mib": written["file_mib"],
        "floor_read_bytes_seconds": floor,
        "median": typical,
        "pandas_over_nearfar": {
            key: typical["pandas"][key] / typical["split"][key] for key in ("seconds", "peak_mib")
        },
        "csr_goal_seconds": GOAL_SECONDS,
        "csr_goal_met": typical["csr"]["seconds"] < GOAL_SECONDS,
        "same_split": compared["same"],
        "rows_of_parts": compared["rows"],
        "rounds": rounds,
        "threads": {k: os.environ.get(k) for k in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS")},
        "provenance": {**provenance(), "pandas": _version("pandas")},
    }


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def show(result: dict[str, Any]) -> None:
    """The table that a person reads."""
    print(f"{result['rows']:,} rows of CSV, medians of {len(result['rounds']['split'])} rounds")
    print(f"{'':8}{'seconds':>10}{'peak MiB':>10}")
    for task, values in result["median"].items():
        print(f"{task:8}{values['seconds']:>10.1f}{values['peak_mib']:>10,.0f}")
    print(f"{'floor':8}{result['floor_read_bytes_seconds']:>10.1f}")
    times = result["pandas_over_nearfar"]
    print(f"pandas takes {times['seconds']:.1f} x the time, {times['peak_mib']:.1f} x the memory")
    print(f"the same split: {'yes' if result['same_split'] else 'NO'}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        result = CHILDREN[arguments.child](arguments.folder, arguments.number)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**result, "peak_mib": peak}))
        return
    result = measure(arguments.rows, arguments.rounds)
    write_json(arguments.out, result)
    show(result)
    if not result["same_split"]:
        sys.exit("the two splits differ")


if __name__ == "__main__":
    main()
