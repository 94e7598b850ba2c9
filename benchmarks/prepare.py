"""Twenty million ratings prepared into a split: nearfar against the published pandas code.

    python -m benchmarks.prepare [--rows 20000263] [--rounds 2] [--out benchmarks/prepare.json]

The ratings.csv is synthetic (`nearfar.data.synthetic`), with the layout, the size and the shares of
ratings of MovieLens-20M, and is deleted afterwards. Three tasks alternate, each in a separate
process:

    split   nearfar: read, filter, split, save the split
    pandas  the published preparation (`benchmarks.reference_split`): the same, to CSV files
    csr     nearfar: read, filter, build the sparse matrix; the goal is 20 s

Seconds exclude imports; memory is the peak of the process. Finally both splits are compared
pair by pair. The floor is reading the bytes of the file.
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
    """Write a ratings.csv in MovieLens-20M's layout, sorted by user and film, without duplicates.

    With fewer rows there are fewer users, who are as active.
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
    """Measure nearfar from the file to a saved split."""
    import nearfar as nf
    from nearfar.data.splits.folder import save_split
    from nearfar.data.splits.strong import split_strong

    filters = nf.Filters(min_rating=4, min_user=5)
    started = time.perf_counter()
    log = nf.read_log(folder / RATINGS, filters=filters)
    read_end = time.perf_counter()
    split = split_strong(log, n_held_out)
    split_end = time.perf_counter()
    save_split(split, folder / SPLIT)
    end = time.perf_counter()
    stages = {
        "read_and_filter": read_end - started,
        "split": split_end - read_end,
        "save": end - split_end,
    }
    return {"seconds": end - started, "stages": stages, "rows_kept": log.n_events}


def measure_pandas(folder: Path, n_held_out: int) -> dict[str, Any]:
    """Measure the published code from the file to CSV files."""
    from benchmarks.reference_split import prepare

    started = time.perf_counter()
    n_rows = prepare(folder / RATINGS, folder / REFERENCE, n_held_out)
    return {"seconds": time.perf_counter() - started, "rows_kept": n_rows}


def measure_csr(folder: Path, n_held_out: int) -> dict[str, Any]:
    """Measure nearfar from the file to a filtered sparse matrix."""
    import scipy.sparse  # noqa: F401 - the import is not measured

    import nearfar as nf

    filters = nf.Filters(min_rating=4, min_user=5)
    started = time.perf_counter()
    log = nf.read_log(folder / RATINGS, filters=filters)
    read_end = time.perf_counter()
    x = log.interactions().x
    end = time.perf_counter()
    stages = {"read_and_filter": read_end - started, "csr": end - read_end}
    return {"seconds": end - started, "stages": stages, "rows_kept": int(x.nnz)}


def compare_splits(folder: Path, n_held_out: int) -> dict[str, Any]:
    """Return the rows of both splits, and whether their users, items and pairs are the same."""
    import numpy as np
    import polars as pl

    import nearfar as nf
    from benchmarks.reference_split import PARTS

    split = nf.load_split(folder / SPLIT)
    held_out_sets = (split.validation, split.test)
    sides = [side for held in held_out_sets for side in (held.fold_in, held.held_out)]
    users, items = (
        np.array((folder / REFERENCE / f"{name}.txt").read_text().split(), np.int64)
        for name in ("unique_uid", "unique_sid")
    )
    rows, same = {}, bool(np.array_equal(split.train.item_ids.ids.to_numpy(), items))
    user_ids = [part.user_ids.ids.to_numpy() for part in (split.train, *sides[::2])]
    same &= np.array_equal(np.concatenate(user_ids), users)
    for name, part in zip(PARTS, (split.train, *sides), strict=True):
        reference = pl.read_csv(folder / REFERENCE / f"{name}.csv")
        expected = users[reference["uid"].to_numpy()] << 32 | items[reference["sid"].to_numpy()]
        row, column = part.x.nonzero()
        user, item = part.user_ids.ids.to_numpy()[row], part.item_ids.ids.to_numpy()[column]
        pairs = user << 32 | item
        rows[name] = {"nearfar": len(pairs), "pandas": len(expected)}
        same &= np.array_equal(np.sort(pairs), np.sort(expected))
    return {"same": bool(same), "rows": rows}


CHILDREN = {
    "write": write_ratings,
    "split": measure_split,
    "pandas": measure_pandas,
    "csr": measure_csr,
    "compare": compare_splits,
}


def in_child(name: str, folder: Path, number: int) -> dict[str, Any]:
    """Return the result of one of CHILDREN, with the peak memory of its process.

    A process inherits the peak of its parent, so this parent must stay small.
    """
    command = [sys.executable, "-m", "benchmarks.prepare", "--child", name]
    command += ["--folder", str(folder), "--number", str(number)]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return json.loads(process.stdout)


def floor_seconds(path: Path) -> float:
    """Return the seconds that reading the file's bytes takes."""
    started = time.perf_counter()
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass
    return time.perf_counter() - started


def measure(n_rows: int, n_rounds: int) -> dict[str, Any]:
    """Run all rounds and return the record."""
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
        comparison = in_child("compare", folder, n_held_out)
    medians = {
        task: {key: median(r[key] for r in runs) for key in ("seconds", "peak_mib")}
        for task, runs in rounds.items()
    }
    return {
        "rows": n_rows,
        "users": written["users"],
        "held_out_users": n_held_out,
        "file_mib": written["file_mib"],
        "floor_read_bytes_seconds": floor,
        "median": medians,
        "pandas_over_nearfar": {
            key: medians["pandas"][key] / medians["split"][key] for key in ("seconds", "peak_mib")
        },
        "csr_goal_seconds": GOAL_SECONDS,
        "csr_goal_met": medians["csr"]["seconds"] < GOAL_SECONDS,
        "same_split": comparison["same"],
        "rows_of_parts": comparison["rows"],
        "rounds": rounds,
        "threads": {k: os.environ.get(k) for k in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS")},
        "provenance": {**provenance(), "pandas": _version("pandas")},
    }


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def show(result: dict[str, Any]) -> None:
    """Print the results as a table."""
    print(f"{result['rows']:,} rows of CSV, medians of {len(result['rounds']['split'])} rounds")
    print(f"{'':8}{'seconds':>10}{'peak MiB':>10}")
    for task, values in result["median"].items():
        print(f"{task:8}{values['seconds']:>10.1f}{values['peak_mib']:>10,.0f}")
    print(f"{'floor':8}{result['floor_read_bytes_seconds']:>10.1f}")
    ratios = result["pandas_over_nearfar"]
    print(f"pandas takes {ratios['seconds']:.1f} x the time, {ratios['peak_mib']:.1f} x the memory")
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
