"""Seconds of training until a given validation NDCG@100, nearfar against the peers.

    python -m benchmarks.quality [--data ml-1m|npm] [--minutes 3] [--only nearfar,recbole]

The sides alternate after each epoch. A side ends when its time is used up or its best epoch is
`--patience` epochs ago. Seconds include training and an initialisation from the data, but not the
ranking of the validation users. The same code scores all rankings. "nearfar" has the published
settings (batches of 500, learning rate 1e-3), "fast" is the preset of that name, "defaults" is
Mult-VAE's plain network with the settings computed from the data.
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
from benchmarks.contest import all_sides, real_split, started
from benchmarks.machine import provenance
from benchmarks.peers.client import Peer, PeerError
from nearfar.core.files import write_json
from nearfar.core.ranking import Ranking
from nearfar.metrics.judged_ranking import judge
from nearfar.metrics.ndcg import NDCG
from nearfar.vae.likelihoods.likelihood import TrainingCounts

SIDES = [
    "nearfar",
    "nearfar EDLAE",
    "nearfar defaults bf16",
    "nearfar fast",
    "nearfar fast bf16",
    "nearfar fast-large",
    "nearfar fast-large bf16",
]
EPOCHS = {
    "nearfar EDLAE": 1,
    "nearfar fast": 20,
    "nearfar fast bf16": 20,
    "nearfar fast-large": 8,
    "nearfar fast-large bf16": 8,
}
"""The epochs after which a schedule ends."""


def side_ndcg(side: Peer, validation: nf.FoldIn, histories: Path, counts: np.ndarray) -> float:
    """Return the NDCG@100 of a side's rankings of the validation users."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "items.npy"
        side.ask("rank", histories=histories, k=100, out=out, timeout=1800)
        items = np.load(out).astype(np.int64)
    users = np.flatnonzero(np.diff(validation.held_out.x.indptr))
    ranking = Ranking(items[users], np.zeros(items[users].shape, np.float32))
    return float(NDCG(100).per_user(judge(ranking, validation.held_out.x[users], counts, 1)).mean())


def measure(data: str, minutes: float, patience: int, only: list[str] | None) -> dict:
    """Return for each side its cumulative seconds of training and its NDCG@100 after each epoch."""
    split = real_split(data)
    courses: dict[str, list[tuple[float, float]]] = {}
    defaults = nf.MultVAE().plan(TrainingCounts(split.train.item_counts, split.train.n_users))
    last_epochs = {**EPOCHS, "nearfar defaults bf16": defaults.epochs}
    with (
        tempfile.TemporaryDirectory() as folder,
        started(all_sides(SIDES, only), split.train.x, batch_size=500) as (alive, absent),
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
                    score = side_ndcg(
                        alive[name], split.validation, histories, split.train.item_counts
                    )
                except PeerError as error:
                    absent[name] = str(error)
                    running.remove(name)
                    continue
                course.append(((course[-1][0] if course else 0.0) + seconds, score))
                best = max(range(len(course)), key=lambda i: course[i][1])
                finished = course[-1][0] >= 60 * minutes or len(course) - 1 - best >= patience
                if finished or len(course) == last_epochs.get(name):
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
    """Return the seconds after which a course first reached a score, or None."""
    return next((seconds for seconds, reached in course if reached >= score), None)


def show(data: str, result: dict, target: float | None) -> None:
    """Print the seconds to the target and to each side's best, and nearfar's to the same score."""
    courses = result["courses"]
    fastest = next(courses[name] for name in reversed(SIDES) if name in courses)
    table = Table(title=f"seconds of training on {data}, validation NDCG@100")
    columns = ["", "best", "after s", "nearfar to that, s", "times faster"]
    if target is not None:
        columns.insert(1, f"s to {target}")
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    for name, course in courses.items():
        best = max(score for _, score in course)
        seconds, nearfar_seconds = seconds_to(course, best), seconds_to(fastest, best)
        cells = [f"{best:.4f}", f"{seconds:.1f}"]
        if seconds and nearfar_seconds:
            cells += [f"{nearfar_seconds:.1f}", f"{seconds / nearfar_seconds:.1f}"]
        else:
            cells += ["-", "-"]
        if target is not None:
            reached = seconds_to(course, target)
            cells.insert(0, f"{reached:.1f}" if reached else f"not in {course[-1][0]:.0f} s")
        table.add_row(name, *cells)
    Console(width=110).print(table)
    for name, reason in result["absent"].items():
        print(f"{name} was not measured: {reason}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", action="append", choices=["ml-1m", "npm"])
    parser.add_argument("--minutes", type=float, default=3.0, help="minutes of training per side")
    parser.add_argument(
        "--patience", type=int, default=20, help="epochs without a new best until a side ends"
    )
    parser.add_argument("--only", help="comma-separated sides")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    records = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    only = arguments.only.split(",") if arguments.only else None
    for data in arguments.data or ["ml-1m"]:
        records[data] = measure(data, arguments.minutes, arguments.patience, only)
        write_json(arguments.out, records)
        show(data, records[data], 0.39 if data == "ml-1m" else None)


if __name__ == "__main__":
    main()
