"""Whether Mult-VAE comes to the same NDCG@100 here and in irspack, on several splits.

    python -m benchmarks.agreement [--splits 3] [--epochs 60]

MovieLens-1M, 600 + 600 held-out users, a split a seed; the published sizes (600-200), batches of
500, Adam at 1e-3, dropout .5, and irspack's schedule: beta .2 after 50 epochs. Each is scored on
the validation users after every epoch by one judge, and its best epoch counts. irspack is its
package in an environment of its own (`make bench-peers`); its weights start and its noise from the
same key in every split.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

import nearfar as nf
from benchmarks.contest import SHARED, THREADS
from benchmarks.machine import provenance
from benchmarks.peers.client import Peer
from benchmarks.quality import judged
from nearfar.algorithms.algorithm import make_algorithm
from nearfar.core.files import write_json
from nearfar.evaluation.intervals import mean_interval

BATCH, LEARNING_RATE, ANNEALED = 500, 1e-3, 50
FIRST_SEED = 12345


def by_irspack(split: nf.Split, epochs: int) -> list[float]:
    """NDCG@100 of the validation users, epoch by epoch."""
    with tempfile.TemporaryDirectory() as folder, Peer("irspack") as peer:
        train, histories = Path(folder) / "train.npz", Path(folder) / "histories.npz"
        scipy.sparse.save_npz(train, scipy.sparse.csr_matrix(split.train.x), compressed=False)
        scipy.sparse.save_npz(histories, scipy.sparse.csr_matrix(split.validation.fold_in.x))
        peer.load(train, timeout=1800, threads=THREADS, batch_size=BATCH)
        course = []
        for _ in range(epochs):
            peer.ask("epoch", timeout=3600)
            course.append(judged(peer, split.validation, histories, split.train.item_counts))
    return course


def by_nearfar(split: nf.Split, epochs: int, seed: int) -> list[float]:
    """The same here."""
    steps = ANNEALED * math.ceil(split.train.n_users / BATCH)
    settings = {
        "epochs": epochs, "batch_size": BATCH, "learning_rate": LEARNING_RATE, "patience": 0,
        "beta": {"kind": "linear_anneal", "end": 0.2, "steps": steps},
        "start": "xavier", "schedule": "constant", "likelihood": "none",
    }  # fmt: skip
    run = nf.Run(seed=seed)
    make_algorithm("multvae", settings).fit(split.train, split.validation, run=run)
    return [record.validation["NDCG@100"] for record in run.history.records]


def measure(n_splits: int, epochs: int) -> dict[str, Any]:
    """Courses of both in every split, and the difference of their best."""
    log = nf.read_log(SHARED / "ml-1m.zip", filters=nf.Filters(min_rating=4, min_user=5))
    splits = []
    for number in range(n_splits):
        split = nf.split_strong(log, 600, seed=FIRST_SEED + number)
        ours = by_nearfar(split, epochs, number)
        theirs = by_irspack(split, epochs)
        splits.append({"split_seed": FIRST_SEED + number, "nearfar": ours, "irspack": theirs})
        print(f"split {number}: nearfar {max(ours):.4f}, irspack {max(theirs):.4f}", flush=True)
    differences = np.array([max(s["nearfar"]) - max(s["irspack"]) for s in splits])
    interval = mean_interval(differences, 0.95)
    return {
        "epochs": epochs,
        "splits": splits,
        "difference": float(differences.mean()),
        "interval": None if interval is None else [interval.low, interval.high],
        "provenance": provenance(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    found = measure(arguments.splits, arguments.epochs)
    write_json(arguments.out, found)
    print(f"nearfar less irspack: {found['difference']:+.4f}, 95 % interval {found['interval']}")


if __name__ == "__main__":
    main()
