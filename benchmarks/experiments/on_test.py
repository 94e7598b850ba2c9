"""The defaults and their blend on test users, used once, paired.

    python -m benchmarks.experiments.on_test [--data lastfm] [--out on_test.json]

EASE, EDLAE, WMF and Mult-VAE with their defaults, Mult-VAE with the richer network, and a blend of
EDLAE, WMF and the better Mult-VAE. The validation users choose Mult-VAE's epochs and network, the
blend's weights, and the best single model, to which the others are compared. magazine is left out:
its splits have 63 test users.
"""

from __future__ import annotations

import time
from typing import Any

import nearfar as nf
from benchmarks.defaults import DATA, read
from benchmarks.experiments import sets
from benchmarks.experiments.rates import RICH
from nearfar.algorithms.algorithm import make_algorithm
from nearfar.algorithms.blend import Blend
from nearfar.evaluation.paired import compare_all

METRIC = "NDCG@100"
SINGLES: dict[str, tuple[str, dict[str, Any]]] = {
    "EASE": ("ease", {}), "EDLAE": ("edlae", {}), "WMF": ("wmf", {}),
    "Mult-VAE": ("multvae", {"richer": False}), "Mult-VAE, rich": ("multvae", RICH),
}  # fmt: skip


def measure(name: str, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """Fit on the training users, choose on the validation users, measure on the test users."""
    split = read(name)[0]
    algorithms = {label: make_algorithm(*single) for label, single in SINGLES.items()}
    models, validation_scores, seconds = {}, {}, {}
    for label, algorithm in algorithms.items():
        bf16 = label.startswith("Mult-VAE")
        run = nf.Run(seed=0, device="cpu", precision="bfloat16" if bf16 else "float32")
        started = time.perf_counter()
        models[label] = algorithm.fit(split.train, split.validation, run=run)
        seconds[label] = round(time.perf_counter() - started, 1)
        validation_scores[label] = nf.evaluate(models[label], split.validation).mean(METRIC)
        print(name, label, f"{validation_scores[label]:.4f} {seconds[label]} s", flush=True)
    network = max(("Mult-VAE", "Mult-VAE, rich"), key=lambda label: validation_scores[label])
    parts = ["EDLAE", "WMF", network]
    blend = Blend(tuple(algorithms[p] for p in parts))
    models["blend"] = blend.combined([models[p] for p in parts], split.validation)
    best = max(validation_scores, key=lambda label: validation_scores[label])
    evaluations = {
        label: nf.evaluate(model, split.test, name=label) for label, model in models.items()
    }
    pairs = compare_all(evaluations, best, [METRIC])
    record = {
        "test_users": split.test.n_users, "seed": 0, "fit_seconds": seconds,
        "validation": validation_scores, "best_single": best, "parts": parts,
        "weights": list(models["blend"].weights),
        "test": {label: e.mean(METRIC) for label, e in evaluations.items()},
        "over_best_single": [pair.to_dict() for pair in pairs],
    }  # fmt: skip
    for pair in pairs:
        print(name, pair, flush=True)
    return record


if __name__ == "__main__":
    sets.run(measure, [n for n in DATA if n != "magazine"], __file__, __doc__)
