"""MovieLens-1M: the preset "fast" on the five splits of ml_1m.py, and repeats of its trainings.

    python -m benchmarks.experiments.fast [--data ml-1m.zip] [--out fast.json] [--again 1]

The preset was chosen on the validation users of another split; test users are used once, at the end
of each fit. `--again` also repeats that many of the plain trainings of ml_1m.json with the same
seeds and settings. Those were made before training worked in blocks; results must agree up to the
difference that another seed makes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import nearfar as nf
from benchmarks.experiments.ml_1m import (
    DEFAULT_DATA,
    GRIDS,
    HERE,
    N_HELD_OUT,
    REFERENCE_SEED,
    t_interval,
)
from benchmarks.machine import provenance
from nearfar.algorithms.algorithm import make_algorithm, preset
from nearfar.core.files import write_json
from nearfar.metrics.ndcg import NDCG


def fit(algorithm: Any, split: nf.Split, seed: int, precision: Any) -> dict[str, Any]:
    """Return the seconds, the validation score and the test scores of a training."""
    run = nf.Run(seed=seed, device="cpu", precision=precision)
    started = time.perf_counter()
    model = algorithm.fit(split.train, split.validation, run=run)
    seconds = time.perf_counter() - started
    return {
        "seed": seed, "seconds": seconds, "best_epoch": run.history.best_epoch,
        "validation_ndcg_100": max(r.validation["NDCG@100"] for r in run.history.records),
        "test": nf.evaluate(model, split.test).to_dict(),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=HERE / "fast.json")
    parser.add_argument("--again", type=int, default=1, help="trainings to repeat")
    arguments = parser.parse_args()
    log = nf.read_log(arguments.data, filters=nf.Filters(min_rating=4, min_user=5))
    before = json.loads((HERE / "ml_1m.json").read_text())["seeds"]
    fast = make_algorithm("multvae", preset("multvae", "fast"))
    result: dict[str, Any] = {"float32": [], "bfloat16": [], "again": [], "summary": {}}
    for seed in range(5):
        split = nf.split_strong(log, N_HELD_OUT, seed=REFERENCE_SEED + seed)
        for precision in ("float32", "bfloat16"):
            record = fit(fast, split, seed, precision)
            result[precision].append(record)
            test = record["test"]["metrics"][str(NDCG(100))]["mean"]
            print(
                f"seed {seed} {precision}: test {test:.4f} in {record['seconds']:.1f} s", flush=True
            )
        if seed < arguments.again:
            record = fit(GRIDS["Mult-VAE"][0], split, seed, "float32")
            old = before[seed]["algorithms"]["Mult-VAE"]
            record["before"] = {
                "validation_ndcg_100": old["tried"][old["chosen"]]["validation_ndcg_100"],
                "test_ndcg_100": old["test"]["metrics"]["NDCG@100"]["mean"],
                "seconds": old["tried"][old["chosen"]]["seconds"],
            }
            result["again"].append(record)
            print(record, flush=True)
        write_json(arguments.out, result)
    for precision in ("float32", "bfloat16"):
        result["summary"][precision] = {
            metric: t_interval([f["test"]["metrics"][metric]["mean"] for f in result[precision]])
            for metric in ("Recall@20", "Recall@50", "NDCG@100")
        }
        print(precision, result["summary"][precision])
    write_json(arguments.out, {**result, "provenance": provenance()})


if __name__ == "__main__":
    main()
