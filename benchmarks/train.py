"""A training step: milliseconds and users per second against the floor and the peers.

    python -m benchmarks.train [--shape ml-20m|ml-1m|npm] [--rounds 8] [--only nearfar,recbole]

Sizes I-600-200-600-I, batches of 500, float32 except for "nearfar bf16". The sides alternate after
a few steps; a ratio is to the floor of the same round.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.contest import all_sides, command, interactions, interval, started
from benchmarks.machine import provenance

SIDES = ["floor", "floor, oneDNN", "nearfar", "nearfar bf16"]
STEPS = 4


def measure(shape: str, arguments: argparse.Namespace, only: list[str] | None) -> dict:
    """Measure the sides in alternation; return milliseconds per step and ratios to the floor."""
    rounds = arguments.rounds
    x = interactions(shape, arguments.users)
    times: dict[str, list[float]] = {}
    with started(all_sides(SIDES, only), x, batch_size=500) as (alive, absent):
        versions = {name: side.ask("versions") for name, side in alive.items()}
        for side in alive.values():
            side.ask("steps", n=3, timeout=1800)  # warm-up: compiles, allocates
        for number in range(rounds):
            for name, side in alive.items():
                seconds = side.ask("steps", n=STEPS, timeout=1800)["seconds"]
                times.setdefault(name, []).append(float(np.median(seconds)))
            print(f"round {number + 1} of {rounds}", flush=True)
    floor = times["floor"]
    nearfar = times.get("nearfar", floor)
    sides = {
        name: {
            "milliseconds": interval([1000 * s for s in seconds]),
            "users_per_second": 500 / float(np.median(seconds)),
            "times_floor": interval([s / f for s, f in zip(seconds, floor, strict=True)]),
            "times_nearfar": interval([s / n for s, n in zip(seconds, nearfar, strict=True)]),
            "versions": versions[name],
        }
        for name, seconds in times.items()
    }
    return {
        "users": x.shape[0], "items": x.shape[1], "interactions": int(x.nnz), "rounds": rounds,
        "steps_a_round": STEPS, "sides": sides, "absent": absent, "provenance": provenance(),
    }  # fmt: skip


def show(shape: str, result: dict) -> None:
    """Print the table."""
    table = Table(title=f"a training step of 500 users, {shape}, {result['items']:,} items")
    for column in ("", "ms", "users/s", "x floor (quartiles)", "x nearfar"):
        table.add_column(column, justify="right" if column else "left")
    for name, side in result["sides"].items():
        ratio = side["times_floor"]
        table.add_row(
            name, f"{side['milliseconds']['median']:.1f}", f"{side['users_per_second']:,.0f}",
            f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})",
            f"{side['times_nearfar']['median']:.2f}",
        )  # fmt: skip
    Console(width=100).print(table)


if __name__ == "__main__":
    command(__doc__, Path(__file__).with_suffix(".json"), measure, show, users=None, rounds=8)
