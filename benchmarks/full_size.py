"""Hours and memory of Table 1's autoencoders on the full large data sets, estimated from a sample.

    python -m benchmarks.full_size [--shape ml-20m] [--users 4000]

The users are synthetic in the shape of the data set, with all of its items. Training by gradients
takes time in proportion to the users, so one epoch of every stage is timed and multiplied by the
users and by the epochs of `nearfar reproduce`, without early stopping. Each algorithm runs in a
separate process; 8 bytes per interaction that the sample lacks are added to its peak memory. EASE
and EDLAE are in benchmarks/closed_form.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import nearfar as nf
from benchmarks.machine import provenance
from nearfar.core.files import write_json
from nearfar.data.shapes import SHAPES
from nearfar.experiments.reproduction.datasets import settings_names
from nearfar.experiments.reproduction.row_settings import row_algorithm
from nearfar.experiments.reproduction.rows import rows_of

LARGE = ("ml-20m", "netflix", "msd")
LEFT_OUT = ("popularity", "ease", "edlae", "mf", "wmf", "grals", "plrec")
BYTES_PER_INTERACTION = 8


def fit_sample(shape: str, label: str, n_users: int) -> dict[str, Any]:
    """Return the seconds of one epoch of every stage, and the estimated peak memory."""
    size = SHAPES[shape]
    share = n_users / size["users"]
    x = nf.synthetic_interactions(
        nf.Synthetic(n_users, size["items"], round(size["interactions"] * share))
    )
    algorithm = row_algorithm(rows_of("table1", (label,))[0], settings_names(shape))
    stages = {
        f.name: getattr(algorithm, f.name)
        for f in fields(algorithm)  # pyright: ignore[reportArgumentType]
        if f.name.endswith("epochs")
    }
    run = nf.Run(seed=0)
    replace(algorithm, **dict.fromkeys(stages, 1)).fit(x, None, run=run)  # pyright: ignore
    seconds = [record.seconds for record in run.history.records]
    assert len(seconds) == len(stages)
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))
    missing_mib = size["interactions"] * (1 - share) * BYTES_PER_INTERACTION / 2**20
    return {"times": list(stages.values()), "seconds": seconds, "peak_mib": peak + missing_mib}


def fit_in_process(shape: str, label: str, n_users: int) -> dict[str, Any]:
    """Return the result of `fit_sample` in a separate process."""
    code = (
        "import json, benchmarks.full_size as module;"
        f"print(json.dumps(module.fit_sample({shape!r}, {label!r}, {n_users})))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(process.stdout.splitlines()[-1])


def estimate(shape: str, label: str, n_users: int) -> dict[str, float]:
    """Return the epochs, hours and memory of a row on the full data set."""
    sample = fit_in_process(shape, label, n_users)
    total = sum(s * n for s, n in zip(sample["seconds"], sample["times"], strict=True))
    hours = total * SHAPES[shape]["users"] / n_users / 3600
    return {"epochs": sum(sample["times"]), "hours": hours, "peak_mib": sample["peak_mib"]}


def measure(shape: str, n_users: int) -> dict[str, Any]:
    """Return the estimates of all rows of a shape that train by gradients."""
    estimates: dict[str, Any] = {}
    for row in rows_of("table1"):
        if row.algorithm in LEFT_OUT or "spectral" in row.variants:
            continue
        cost = estimates[row.label] = estimate(shape, row.label, n_users)
        print(
            f"{shape} {row.label}: {cost['hours']:.2f} h, {cost['peak_mib']:,.0f} MiB", flush=True
        )
    return estimates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", action="append", choices=LARGE)
    parser.add_argument("--users", type=int, default=4000, help="users of the sample")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    records = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for shape in arguments.shape or LARGE:
        rows = measure(shape, arguments.users)
        records[shape] = {"users": arguments.users, "rows": rows, "provenance": provenance()}
        write_json(arguments.out, records)
        table = Table(title=f"{shape} at full size, estimated")
        for column in ("", "epochs", "hours", "peak GiB"):
            table.add_column(column, justify="right" if column else "left")
        for label, cost in rows.items():
            cells = (
                f"{cost['epochs']:.0f}",
                f"{cost['hours']:.1f}",
                f"{cost['peak_mib'] / 1024:.1f}",
            )
            table.add_row(label, *cells)
        Console(width=100).print(table)


if __name__ == "__main__":
    main()
