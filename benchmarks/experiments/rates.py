"""Mult-VAE with several learning rates and networks on validation users.

    python -m benchmarks.experiments.rates [--data lastfm] [--seed 0] [--out rates.json]

All other settings are defaults; magazine has the mean of ten splits. Test users are not used.
docs/defaults.md derives the default learning rate from the results.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import nearfar as nf
from benchmarks.defaults import DATA, read
from benchmarks.machine import provenance
from nearfar.algorithms.algorithm import make_algorithm
from nearfar.core.files import read_json, write_json

RATES = (5e-4, 1e-3, 2e-3, 3e-3, 6e-3)
RICH = {"n_latent": 600, "corruption": {"keep_prob": 0.8}, "beta": {"end": 0.02}}
ROWS: dict[str, dict[str, Any]] = {
    **{f"rate {rate:g}": {"learning_rate": rate, "richer": False} for rate in RATES},
    "rich, rate .003": {"learning_rate": 3e-3, **RICH},
    "rich, rate .006": {"learning_rate": 6e-3, **RICH},
}


def measure(splits: list[nf.Split], values: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return the best validation NDCG@100 and that of each epoch, as means over the splits."""
    started = time.perf_counter()
    scores = []
    for split in splits:
        run = nf.Run(seed=seed, device="cpu", precision="bfloat16")
        make_algorithm("multvae", values).fit(split.train, split.validation, run=run)
        scores.append([r.validation["NDCG@100"] for r in run.history.records])
    return {
        "best": float(np.mean([max(s) for s in scores])),
        "by_epoch": np.round(np.mean(scores, 0), 4).tolist(),
        "seconds": round(time.perf_counter() - started, 1),
    }


def main() -> None:
    """Measure the data sets of the command line, and write the record after each row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=",".join(DATA), help="comma-separated data sets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("rates_again.json"))
    arguments = parser.parse_args()
    record = read_json(arguments.out) if arguments.out.exists() else {"runs": []}
    for name in arguments.data.split(","):
        splits = read(name)
        for row, values in ROWS.items():
            result = measure(splits, values, arguments.seed)
            record["runs"].append({
                "data": name, "row": row, "settings": values, "seed": arguments.seed, **result,
                "provenance": provenance(),
            })  # fmt: skip
            write_json(arguments.out, record)
            print(f"{name} {row}: {result['best']:.4f} in {result['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
