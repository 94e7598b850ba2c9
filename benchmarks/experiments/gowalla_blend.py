"""A blend on all of Gowalla (LightGCN's split), measured once on its test items.

    python -m benchmarks.experiments.gowalla_blend --parts plrec,wmf,ease,multvae --models FOLDER

Each part is fitted on 97 % of the users and saved in FOLDER, so a stopped run continues. The other
3 % choose the weights, by NDCG@100; then the parts and the blend are evaluated on the test items.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import nearfar as nf
from benchmarks.contest import SHARED
from benchmarks.machine import provenance
from nearfar.algorithms.algorithm import Algorithm, make_algorithm, presets
from nearfar.algorithms.blend import Blend
from nearfar.core.files import write_json
from nearfar.evaluation.paired import compare_all
from nearfar.experiments.reproduction.datasets import data_set
from nearfar.experiments.reproduction.study_splits import Splits
from nearfar.models.model import Model

METRICS = ["Recall@20(all)", "NDCG@20"]
PRESET = "gowalla"
LARGER = {"wmf-1024": ("wmf", {"n_factors": 1024})}
"""Parts with other settings than their preset or defaults."""


def part(name: str) -> Algorithm:
    """Return an algorithm with its preset for Gowalla, or with its defaults if it has none."""
    if name in LARGER:
        return make_algorithm(*LARGER[name])
    return make_algorithm(name, presets(name).get(PRESET, {}))


def fitted(name: str, split: nf.Split, folder: Path) -> tuple[Model, float | None]:
    """Return a part, fitted or from FOLDER, and the seconds of the fit."""
    path = folder / name
    if path.exists():
        return nf.load_bundle(path).model, None
    run = nf.Run(seed=0, device="cpu", folder=folder / f"{name}.run")
    started = time.perf_counter()
    algorithm = part(name).resolved(split.train)
    model = algorithm.fit(split.train, split.validation, run=run)
    seconds = round(time.perf_counter() - started, 1)
    print(name, algorithm, seconds, "s", flush=True)
    nf.save_bundle(nf.Bundle.of(model, algorithm, split.train), path)
    return model, seconds


def measure(names: list[str], folder: Path) -> dict[str, Any]:
    """Fit the parts, choose the weights on the validation users, and measure on the test items."""
    splits = Splits(data_set(PRESET, data=SHARED / "gowalla.zip"), folder / "splits", print)
    splits.prepare(range(1))
    split = splits.load(0)
    models, seconds = {}, {}
    for name in names:
        models[name], seconds[name] = fitted(name, split, folder)
    validation = {n: nf.evaluate(m, split.validation).mean("NDCG@100") for n, m in models.items()}
    print("validation", validation, flush=True)
    blend = Blend(tuple(part(n) for n in names)).combined(list(models.values()), split.validation)
    print("weights", blend.weights, flush=True)
    models |= {"blend": blend}
    evaluations = {n: nf.evaluate(m, split.test, METRICS, name=n) for n, m in models.items()}
    best = max(validation, key=lambda name: validation[name])
    return {
        "parts": names,
        "fit_seconds": seconds,
        "validation_users": split.validation.n_users,
        "validation": validation,
        "weights": dict(zip(names, blend.weights, strict=True)),
        "test": {n: {m: e.mean(m) for m in METRICS} for n, e in evaluations.items()},
        "over_best_single": [p.to_dict() for p in compare_all(evaluations, best, METRICS)],
        "provenance": provenance(),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="plrec,wmf,ease,multvae")
    parser.add_argument("--models", type=Path, required=True, help="folder of the fitted parts")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    record = measure(arguments.parts.split(","), arguments.models)
    print(record)
    write_json(arguments.out, record)
