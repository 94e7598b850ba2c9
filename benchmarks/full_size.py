"""Hours and memory of Table 1's autoencoders at the full size of the large sets, by a sample.

    python -m benchmarks.full_size [--shape ml-20m] [--users 4000]

Users are made up in the shape of the data set, with all of its items. Training by gradients takes
time by the user: one epoch of every stage is timed and multiplied by users and by the epochs of
the settings that `nearfar reproduce` would take (stopping early not counted). Each is a process of
its own, whose peak resident memory grows by 8 bytes an interaction from the sample to the whole.
EASE and EDLAE have benchmarks/closed_form.py.
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
BYTES = 8


def once(shape: str, label: str, n_users: int) -> dict[str, Any]:
    """Seconds of one epoch of every stage, and the process's peak memory."""
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
    rest = size["interactions"] * (1 - share) * BYTES / 2**20
    return {"times": list(stages.values()), "seconds": seconds, "peak_mib": peak + rest}


def in_a_process(shape: str, label: str, n_users: int) -> dict[str, Any]:
    """`once` in a process of its own."""
    code = (
        "import json, benchmarks.full_size as here;"
        f"print(json.dumps(here.once({shape!r}, {label!r}, {n_users})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def estimate(shape: str, label: str, n_users: int) -> dict[str, float]:
    """A row at full size."""
    found = in_a_process(shape, label, n_users)
    total = sum(s * n for s, n in zip(found["seconds"], found["times"], strict=True))
    hours = total * SHAPES[shape]["users"] / n_users / 3600
    return {"epochs": sum(found["times"]), "hours": hours, "peak_mib": found["peak_mib"]}


def measure(shape: str, n_users: int) -> dict[str, Any]:
    """Every row of one shape that trains by gradients."""
    found: dict[str, Any] = {}
    for row in rows_of("table1"):
        if row.algorithm in LEFT_OUT or "spectral" in row.variants:
            continue
        found[row.label] = told = estimate(shape, row.label, n_users)
        print(
            f"{shape} {row.label}: {told['hours']:.2f} h, {told['peak_mib']:,.0f} MiB", flush=True
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", action="append", choices=LARGE)
    parser.add_argument("--users", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    found = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for shape in arguments.shape or LARGE:
        rows = measure(shape, arguments.users)
        found[shape] = {"users": arguments.users, "rows": rows, "provenance": provenance()}
        write_json(arguments.out, found)
        table = Table(title=f"{shape} at full size, estimated")
        for column in ("", "epochs", "hours", "peak GiB"):
            table.add_column(column, justify="right" if column else "left")
        for label, told in rows.items():
            cells = (
                f"{told['epochs']:.0f}",
                f"{told['hours']:.1f}",
                f"{told['peak_mib'] / 1024:.1f}",
            )
            table.add_row(label, *cells)
        Console(width=100).print(table)


if __name__ == "__main__":
    main()
