"""A blend of the best models of each kind against each of them, on validation users, paired.

    python -m benchmarks.experiments.blends [--data lastfm] [--out blends.json]

EDLAE, WMF and Mult-VAE with their defaults (blends.json is older than the richer network among
them, which was taken on citeulike-a and npm by hand); each pair with weights of .25, .5 and .75,
and all three alike. Test users are not touched. Differences are from the best single model, user
by user.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import nearfar as nf
from benchmarks.defaults import DATA, read
from benchmarks.experiments import sets
from nearfar.algorithms.algorithm import make_algorithm
from nearfar.evaluation.paired import compare
from nearfar.models.ensemble import Ensemble

METRIC = "NDCG@100"
STEPS = (0.25, 0.5, 0.75)


def measure(name: str, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """Fit the models on one split of a set and compare them and their blends."""
    split = read(name)[0]
    models, evaluations, seconds = {}, {}, {}
    for kind in ("edlae", "wmf", "multvae"):
        run = nf.Run(seed=0, device="cpu", precision="bfloat16" if kind == "multvae" else "float32")
        started = time.perf_counter()
        models[kind] = make_algorithm(kind, {}).fit(split.train, split.validation, run=run)
        seconds[kind] = round(time.perf_counter() - started, 1)
        evaluations[kind] = nf.evaluate(models[kind], split.validation)
        print(name, kind, f"{evaluations[kind].mean(METRIC):.4f}", flush=True)
    best = max(evaluations, key=lambda kind: evaluations[kind].mean(METRIC))
    weights = [
        *({a: 1 - w, b: w} for a, b in itertools.combinations(models, 2) for w in STEPS),
        dict.fromkeys(models, 1.0),
    ]
    blends = []
    for each in weights:
        ensemble = Ensemble([models[kind] for kind in each], tuple(each.values()))
        found = nf.evaluate(ensemble, split.validation)
        pair = compare(evaluations[best], found, METRIC)
        blends.append({"weights": each, "mean": found.mean(METRIC), "over_best": pair.to_dict()})
        print(name, each, f"{found.mean(METRIC):.4f} {pair.difference:+.4f} p {pair.p}", flush=True)
    return {
        "singles": {k: e.mean(METRIC) for k, e in evaluations.items()},
        "best_single": best, "seconds": seconds, "blends": blends,
    }  # fmt: skip


if __name__ == "__main__":
    sets.run(measure, DATA, __file__, __doc__)
