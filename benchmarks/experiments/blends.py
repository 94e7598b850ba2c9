"""Blends of three models against the best single one, paired on validation users.

    python -m benchmarks.experiments.blends [--data lastfm] [--out blends.json]

EDLAE, WMF and Mult-VAE with their defaults; each pair with weights of .25, .5 and .75, and all
three with equal weights. (blends.json is older than the richer network of Mult-VAE's defaults,
which was set by hand on citeulike-a and npm.) Test users are not used. Differences to the best
single model are per user.
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
    """Fit the models on one split of a data set, and compare their blends with the best of them."""
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
    for blend in weights:
        ensemble = Ensemble([models[kind] for kind in blend], tuple(blend.values()))
        evaluation = nf.evaluate(ensemble, split.validation)
        mean = evaluation.mean(METRIC)
        pair = compare(evaluations[best], evaluation, METRIC)
        blends.append({"weights": blend, "mean": mean, "over_best": pair.to_dict()})
        print(name, blend, f"{mean:.4f} {pair.difference:+.4f} p {pair.p}", flush=True)
    return {
        "singles": {k: e.mean(METRIC) for k, e in evaluations.items()},
        "best_single": best, "seconds": seconds, "blends": blends,
    }  # fmt: skip


if __name__ == "__main__":
    sets.run(measure, DATA, __file__, __doc__)
