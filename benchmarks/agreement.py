"""Compare the NDCG@100 of Mult-VAE in nearfar and in irspack on several splits.

    python -m benchmarks.agreement [--splits 3] [--epochs 60]

MovieLens-1M, 600 + 600 held-out users, one split per seed; the published sizes (600-200), batches
of 500, Adam at 1e-3, dropout .5, and irspack's schedule: beta .2 after 50 epochs. The same code
scores both on the validation users after every epoch, and the best epoch counts. irspack runs in
its own environment (`make bench-peers`); it derives initial weights and noise from the same key in
every split.
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
from benchmarks.quality import side_ndcg
from nearfar.algorithms.algorithm import make_algorithm
from nearfar.core.files import write_json
from nearfar.evaluation.intervals import mean_interval

BATCH, LEARNING_RATE, ANNEALED = 500, 1e-3, 50
FIRST_SEED = 12345


def irspack_scores(split: nf.Split, epochs: int) -> list[float]:
    """Return irspack's validation NDCG@100 after each epoch."""
    with tempfile.TemporaryDirectory() as folder, Peer("irspack") as peer:
        train, histories = Path(folder) / "train.npz", Path(folder) / "histories.npz"
        scipy.sparse.save_npz(train, scipy.sparse.csr_matrix(split.train.x), compressed=False)
        scipy.sparse.save_npz(histories, scipy.sparse.csr_matrix(split.validation.fold_in.x))
        peer.load(train, timeout=1800, threads=THREADS, batch_size=BATCH)
        scores = []
        for _ in range(epochs):
            peer.ask("epoch", timeout=3600)
            scores.append(side_ndcg(peer, split.validation, histories, split.train.item_counts))
    return scores


def nearfar_scores(split: nf.Split, epochs: int, seed: int) -> list[float]:
    """Return nearfar's validation NDCG@100 after each epoch."""
    steps = ANNEALED * math.ceil(split.train.n_users / BATCH)
    settings = {
        "epochs": epochs, "batch_size": BATCH, "learning_rate": LEARNING_RATE, "patience": 0,
        "beta": {"kind": "linear_anneal", "end": 0.2, "steps": steps},
        "initialiser": "xavier", "schedule": "constant", "likelihood": "none",
    }  # fmt: skip
    run = nf.Run(seed=seed)
    make_algorithm("multvae", settings).fit(split.train, split.validation, run=run)
    return [record.validation["NDCG@100"] for record in run.history.records]


def measure(n_splits: int, epochs: int) -> dict[str, Any]:
    """Return the scores of both per epoch and split, and the difference of their best epochs."""
    log = nf.read_log(SHARED / "ml-1m.zip", filters=nf.Filters(min_rating=4, min_user=5))
    splits = []
    for number in range(n_splits):
        split = nf.split_strong(log, 600, seed=FIRST_SEED + number)
        nearfar = nearfar_scores(split, epochs, number)
        irspack = irspack_scores(split, epochs)
        splits.append({"split_seed": FIRST_SEED + number, "nearfar": nearfar, "irspack": irspack})
        print(f"split {number}: nearfar {max(nearfar):.4f}, irspack {max(irspack):.4f}", flush=True)
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
    parser.add_argument("--splits", type=int, default=3, help="number of splits")
    parser.add_argument("--epochs", type=int, default=60, help="epochs per split")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    result = measure(arguments.splits, arguments.epochs)
    write_json(arguments.out, result)
    print(f"nearfar minus irspack: {result['difference']:+.4f}, 95 % interval {result['interval']}")


if __name__ == "__main__":
    main()
