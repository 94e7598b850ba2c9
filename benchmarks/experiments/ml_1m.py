"""MovieLens-1M with the reference protocol: EASE, Mult-VAE, Mult-VAE + PIA, five seeds.

    python -m benchmarks.experiments.ml_1m [--data ml-1m.zip] [--out ml_1m.json] [--seeds 5]

Each seed has its own split (600 validation and 600 test users) and training. Where an algorithm has
several settings below, the split's validation users choose; test users are used once, with the
settings chosen. The experiment resumes: seeds that the record has are not run again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
import torch

import nearfar as nf
from benchmarks.machine import commit
from nearfar.core import settings
from nearfar.core.files import write_json
from nearfar.evaluation.paired import compare
from nearfar.metrics.ndcg import NDCG
from nearfar.vae.initialisers.xavier import Xavier
from nearfar.vae.weights.constant import ConstantWeight
from nearfar.vae.weights.linear_anneal import LinearAnneal

HERE = Path(__file__).parent
DEFAULT_DATA = HERE.parents[2] / "shared" / "data" / "ml-1m.zip"
N_HELD_OUT = 600
REFERENCE_SEED = 98765

BASE = nf.MultVAE(
    batch_size=500, beta=LinearAnneal(0.2, 1000), epochs=150, patience=20, learning_rate=1e-3,
    initialiser=Xavier(), schedule=ConstantWeight(), likelihood=None,
)  # fmt: skip
GRIDS: dict[str, list[Any]] = {
    "EASE": [nf.EASE(l2=500.0)],
    "Mult-VAE": [replace(BASE, batch_size=100, beta=LinearAnneal(0.4, 4000))],
    "Mult-VAE + PIA": [replace(BASE, alignment=nf.PIA(weight=1.0))],
}
"""The settings of every split. They are the best of a few on the validation users of another
split (seed 12345, not reported): Mult-VAE with batches of 500 and beta to .2 or .5 in
1,000 steps .399 and .398, of 100 and beta to .2 or .4 in 4,000 steps .401 and .403; PIA with
lambda_A 1 and 2 at batches of 500 .418 and .417, lambda_A 1 at batches of 100 .415."""


def run_seed(log: Any, seed: int) -> dict[str, Any]:
    """Return the record of one split: the best of each grid by validation, and its test scores."""
    split = nf.split_strong(log, N_HELD_OUT, seed=REFERENCE_SEED + seed)
    result: dict[str, Any] = {"seed": seed, "split_seed": REFERENCE_SEED + seed,
                              "split": split.fingerprint, "algorithms": {}}  # fmt: skip
    tests = {}
    for name, grid in GRIDS.items():
        trials, models = [], []
        for algorithm in grid:
            run = nf.Run(seed=seed, device="cpu")
            started = time.perf_counter()
            model = algorithm.fit(split.train, split.validation, run=run)
            seconds = time.perf_counter() - started
            score = nf.evaluate(model, split.validation).mean(NDCG(100))
            trials.append({
                "settings": settings.to_plain(algorithm), "validation_ndcg_100": score,
                "seconds": seconds, "best_epoch": run.history.best_epoch,
                "epochs": len(run.history.records),
            })  # fmt: skip
            models.append(model)
            print(f"seed {seed} {name}: validation {score:.4f} in {seconds:.0f} s", flush=True)
        best = int(np.argmax([t["validation_ndcg_100"] for t in trials]))
        tests[name] = nf.evaluate(models[best], split.test)
        print(f"seed {seed} {name}: test\n{tests[name]}", flush=True)
        result["algorithms"][name] = {
            "tried": trials, "chosen": best, "test": tests[name].to_dict()
        }  # fmt: skip
    result["pia_minus_plain"] = [
        compare(tests["Mult-VAE"], tests["Mult-VAE + PIA"], metric).to_dict()
        for metric in tests["Mult-VAE"].per_user
    ]
    return result


def t_interval(values: list[float], level: float = 0.95) -> dict[str, float]:
    """Return mean, standard deviation and t interval of the mean over seeds."""
    n, mean, sd = len(values), float(np.mean(values)), float(np.std(values, ddof=1))
    half = float(scipy.stats.t.ppf(0.5 + level / 2, n - 1)) * sd / math.sqrt(n)
    return {"mean": mean, "sd": sd, "low": mean - half, "high": mean + half}


def summary(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return each algorithm's metrics and the gain of PIA, over the seeds."""
    metrics = list(seeds[0]["algorithms"]["EASE"]["test"]["metrics"])

    def values(name: str, metric: str) -> list[float]:
        return [s["algorithms"][name]["test"]["metrics"][metric]["mean"] for s in seeds]

    gains = {
        m: [p - q for p, q in zip(values("Mult-VAE + PIA", m), values("Mult-VAE", m), strict=True)]
        for m in metrics
    }
    return {
        "algorithms": {n: {m: t_interval(values(n, m)) for m in metrics} for n in GRIDS},
        "pia_gain": {m: {**t_interval(g), "by_seed": g} for m, g in gains.items()},
    }


def markdown(results: dict[str, Any]) -> str:
    """Return the summary as the README's table."""
    metrics = list(results["pia_gain"])
    lines = ["| | " + " | ".join(metrics) + " |", "|---" * (len(metrics) + 1) + "|"]

    def cell(value: dict[str, float], sign: str = "") -> str:
        half = (value["high"] - value["low"]) / 2
        return f"{value['mean']:{sign}.4f} ± {half:.4f}"

    for name, by_metric in results["algorithms"].items():
        lines.append(f"| {name} | " + " | ".join(cell(by_metric[m]) for m in metrics) + " |")
    gains = " | ".join(cell(results["pia_gain"][m], "+") for m in metrics)
    lines.append(f"| PIA minus plain, split by split | {gains} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--out", type=Path, default=HERE / "ml_1m.json")
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    arguments = parser.parse_args()
    log = nf.read_log(arguments.data, filters=nf.Filters(min_rating=4, min_user=5))
    records = json.loads(arguments.out.read_text())["seeds"] if arguments.out.exists() else []
    for seed in range(arguments.seeds):
        if any(s["seed"] == seed for s in records):
            continue
        records.append(run_seed(log, seed) | {"commit": commit()})
        records.sort(key=lambda s: s["seed"])
        write_json(arguments.out, {
            "data": "MovieLens-1M, ratings >= 4, users with >= 5 of them",
            "protocol": f"reference protocol, {N_HELD_OUT} + {N_HELD_OUT} held-out users, split "
                        f"seeds {REFERENCE_SEED} + seed; settings chosen by validation NDCG@100",
            "machine": {"platform": platform.platform(), "cpus": os.cpu_count(),
                        "threads": torch.get_num_threads(), "torch": torch.__version__},
            "summary": summary(records) if len(records) > 1 else None,
            "seeds": records,
        })  # fmt: skip
    print(markdown(summary(records)))


if __name__ == "__main__":
    main()
