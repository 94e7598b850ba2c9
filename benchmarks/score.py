"""The best 100 items of every user, seen ones left out: users a second against floor and peers.

    python -m benchmarks.score [--shape ml-20m|ml-1m|npm] [--rounds 4] [--only nearfar,recbole]

Every side trains a few steps first, since scores of fresh weights are nothing like a model's.
The peers recommend in their own way (`benchmarks/peers`); the floor is the network's products
without a ranking. All take turns; a ratio is taken within a round.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.contest import command, everyone, interactions, interval, started
from benchmarks.machine import provenance

OWN = ["floor", "floor, oneDNN", "nearfar"]
K, TRAINED_STEPS = 100, 20


def measure(shape: str, arguments: argparse.Namespace, only: list[str] | None) -> dict:
    """Recommending in turns; per side its users a second and its ratio to the floor."""
    n_users, rounds = arguments.users, arguments.rounds
    x = interactions(shape, 20 * 500)
    times: dict[str, list[float]] = {}
    with started(everyone(OWN, only), x, batch_size=500) as (alive, absent):
        versions = {name: side.ask("versions") for name, side in alive.items()}
        for side in alive.values():
            side.ask("steps", n=TRAINED_STEPS, timeout=1800)
            side.ask("recommend", k=K, n_users=n_users, timeout=1800)  # compiles, allocates
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
    """The table."""
    table = Table(title=f"top {K} without seen items, {shape}, {result['items']:,} items")
    for column in ("", "users/s", "x floor (quarters)", "x nearfar"):
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
