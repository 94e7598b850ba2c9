"""Top 100 of every user without seen items: users per second against the floor and the peers.

    python -m benchmarks.score [--shape ml-20m|ml-1m|npm] [--rounds 4] [--only nearfar,recbole]

Every side trains a few steps first, because random weights do not give realistic scores. The peers
recommend by their own functions (`benchmarks/peers`); the floor is the network's products without a
ranking. The sides alternate; a ratio is taken within a round.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.contest import all_sides, command, interactions, interval, started
from benchmarks.machine import provenance

SIDES = ["floor", "floor, oneDNN", "nearfar"]
K, TRAINED_STEPS = 100, 20


def measure(shape: str, arguments: argparse.Namespace, only: list[str] | None) -> dict:
    """Measure the sides in alternation; return users per second and ratios to the floor."""
    n_users, rounds = arguments.users, arguments.rounds
    x = interactions(shape, 20 * 500)
    times: dict[str, list[float]] = {}
    with started(all_sides(SIDES, only), x, batch_size=500) as (alive, absent):
        versions = {name: side.ask("versions") for name, side in alive.items()}
        for side in alive.values():
            side.ask("steps", n=TRAINED_STEPS, timeout=1800)
            side.ask(
                "recommend", k=K, n_users=n_users, timeout=1800
            )  # warm-up: compiles, allocates
        for number in range(rounds):
            for name, side in alive.items():
                reply = side.ask("recommend", k=K, n_users=n_users, timeout=1800)
                times.setdefault(name, []).append(reply["seconds"] / reply["users"])
            print(f"round {number + 1} of {rounds}", flush=True)
    sides = {
        name: {
            "users_per_second": interval([1 / s for s in seconds]),
            "times_floor": interval([s / f for s, f in zip(seconds, times["floor"], strict=True)]),
            "times_nearfar": interval(
                [s / n for s, n in zip(seconds, times["nearfar"], strict=True)]
            ),
            "versions": versions[name],
        }
        for name, seconds in times.items()
    }
    return {
        "users": n_users, "items": x.shape[1], "k": K, "rounds": rounds, "sides": sides,
        "absent": absent, "provenance": provenance(),
    }  # fmt: skip


def show(shape: str, result: dict) -> None:
    """Print the table."""
    table = Table(title=f"top {K} without seen items, {shape}, {result['items']:,} items")
    for column in ("", "users/s", "x floor (quartiles)", "x nearfar"):
        table.add_column(column, justify="right" if column else "left")
    for name, side in result["sides"].items():
        ratio = side["times_floor"]
        table.add_row(
            name, f"{side['users_per_second']['median']:,.0f}",
            f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})",
            f"{side['times_nearfar']['median']:.2f}",
        )  # fmt: skip
    Console(width=100).print(table)


if __name__ == "__main__":
    command(__doc__, Path(__file__).with_suffix(".json"), measure, show, users=2000, rounds=4)
