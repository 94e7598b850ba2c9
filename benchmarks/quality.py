"""Seconds of training to a given NDCG@100 on validation users, nearfar against the peers.

    python -m benchmarks.quality [--data ml-1m|npm] [--minutes 3] [--only nearfar,recbole]

All train an epoch in turns, each until its time is used up or its best is `--patience` epochs
old. The clock runs while it trains, a start from the data included; ranking the validation users
is off the clock, and one judge scores all rankings. "nearfar" is the published way (batches of
500, learning rate 1e-3), "fast" the preset of that name.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import scipy.sparse
from rich.console import Console
from rich.table import Table

import nearfar as nf
from benchmarks.contest import everyone, real_split, started
from benchmarks.machine import provenance
from benchmarks.peers.client import Peer, PeerError
from nearfar.core.files import write_json
from nearfar.core.ranking import Ranking
from nearfar.metrics.judged import judge
from nearfar.metrics.ndcg import NDCG

OWN = [
    "nearfar",
    "nearfar fast",
    "nearfar fast bf16",
    "nearfar fast-large",
    "nearfar fast-large bf16",
]
EPOCHS = {
    "nearfar fast": 20,
    "nearfar fast bf16": 20,
    "nearfar fast-large": 8,
    "nearfar fast-large bf16": 8,
}
"""Their schedules end there."""


def judged(side: Peer, validation: nf.FoldIn, histories: Path, counts: np.ndarray) -> float:
    """NDCG@100 of what a side recommends to the validation users."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "items.npy"
        side.ask("rank", histories=histories, k=100, out=out, timeout=1800)
        items = np.load(out).astype(np.int64)
    found = np.flatnonzero(np.diff(validation.held_out.x.indptr))
    ranking = Ranking(items[found], np.zeros(items[found].shape, np.float32))
    return float(NDCG(100).per_user(judge(ranking, validation.held_out.x[found], counts, 1)).mean())


def measure(data: str, minutes: float, patience: int, only: list[str] | None) -> dict:
    """The course of every side: seconds of training so far and NDCG@100, epoch by epoch."""
    split = real_split(data)
    courses: dict[str, list[tuple[float, float]]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        started(everyone(OWN, only), split.train.x, batch_size=500) as (alive, absent),
    ):
        alive.pop("floor", None)
        versions = {name: side.ask("versions") for name, side in alive.items()}
        histories = Path(folder) / "histories.npz"
        scipy.sparse.save_npz(histories, scipy.sparse.csr_matrix(split.validation.fold_in.x))
        running = list(alive)
        while running:
            for name in list(running):
                course = courses.setdefault(name, [])
                try:
                    seconds = alive[name].ask("epoch", timeout=3600)["seconds"]
                    score = judged(
                        alive[name], split.validation, histories, split.train.item_counts
                    )
                except PeerError as error:
                    absent[name] = str(error)
                    running.remove(name)
                    continue
                course.append(((course[-1][0] if course else 0.0) + seconds, score))
                best = max(range(len(course)), key=lambda i: course[i][1])
                over = course[-1][0] >= 60 * minutes or len(course) - 1 - best >= patience
                if over or len(course) == EPOCHS.get(name):
                    running.remove(name)
                print(
                    f"{name}: epoch {len(course)}, {course[-1][0]:.1f} s, {score:.4f}", flush=True
                )
    return {
        "users": split.train.n_users, "items": split.train.n_items,
        "validation_users": split.validation.n_users, "minutes": minutes, "patience": patience,
        "courses": courses, "versions": versions, "absent": absent, "provenance": provenance(),
    }  # fmt: skip


def seconds_to(course: list[tuple[float, float]], score: float) -> float | None:
    """When a course first reached a score; None if it did not."""
    return next((seconds for seconds, found in course if found >= score), None)


def show(data: str, result: dict, target: float | None) -> None:
    """Seconds to the target and to each peer's own best, beside the fastest of ours."""
    courses = result["courses"]
    ours = next(courses[name] for name in reversed(OWN) if name in courses)
    table = Table(title=f"seconds of training on {data}, validation NDCG@100")
    columns = ["", "best", "after s", "ours to that, s", "times sooner"]
    if target is not None:
        columns.insert(1, f"s to {target}")
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    for name, course in courses.items():
        best = max(score for _, score in course)
        when, mine = seconds_to(course, best), seconds_to(ours, best)
        cells = [f"{best:.4f}", f"{when:.1f}"]
        cells += [f"{mine:.1f}", f"{when / mine:.1f}"] if mine and when else ["-", "-"]
        if target is not None:
            reached = seconds_to(course, target)
            cells.insert(0, f"{reached:.1f}" if reached else f"not in {course[-1][0]:.0f} s")
        table.add_row(name, *cells)
    Console(width=110).print(table)
    for name, reason in result["absent"].items():
        print(f"{name} did not take part: {reason}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", action="append", choices=["ml-1m", "npm"])
    parser.add_argument("--minutes", type=float, default=3.0, help="of training, a side")
    parser.add_argument("--patience", type=int, default=20, help="epochs without a new best")
    parser.add_argument("--only", help="sides, cut at commas")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    found = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    only = arguments.only.split(",") if arguments.only else None
    for data in arguments.data or ["ml-1m"]:
        found[data] = measure(data, arguments.minutes, arguments.patience, only)
        write_json(arguments.out, found)
        show(data, found[data], 0.39 if data == "ml-1m" else None)


if __name__ == "__main__":
    main()
