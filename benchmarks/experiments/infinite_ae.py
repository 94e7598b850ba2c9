"""NDCG@10 on the splits of Infinite-AE, where all users are in training, beside published numbers.

    python -m benchmarks.experiments.infinite_ae [--data ml-1m-infinite-ae] [--out infinite_ae.json]

Every rating is positive, and each user's items are split 80/10/10. As published, models are trained
on the 80 %, the next 10 % choose settings and epochs, and in the test both are the model's input.
EASE's l2 is chosen among multiples of its default, the blend's weights by the validation items;
everything else has its defaults. Test items are used once, with the settings that validation chose.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_array

import nearfar as nf
from benchmarks.contest import SHARED
from benchmarks.experiments import sets
from nearfar.algorithms.algorithm import make_algorithm
from nearfar.core.vocabulary import Vocabulary
from nearfar.evaluation.paired import compare_all
from nearfar.models.ensemble import Ensemble
from nearfar.models.model import Model

METRIC = nf.NDCG(10)
SETS = ("ml-1m-infinite-ae", "magazine-infinite-ae")
SEEDS = (0, 1, 2)
PUBLISHED = {
    "ml-1m-infinite-ae": {"MVAE": 22.14, "LightGCN": 28.85, "EASE": 29.88, "infinite-AE": 32.82},
    "magazine-infinite-ae": {"MVAE": 12.18, "LightGCN": 22.57, "EASE": 22.84, "infinite-AE": 23.06},
}
"""In percent; from the README of noveens/infinite_ae_cf."""

SCALES = (0.1, 0.2, 0.4, 1.0, 2.5)
SINGLES: dict[str, tuple[str, dict[str, Any]]] = {
    "Popularity": ("popularity", {}), "EDLAE": ("edlae", {}), "PLRec": ("plrec", {}),
    "WMF": ("wmf", {}), "Mult-VAE": ("multvae", {}),
    "Mult-VAE + PIA": ("multvae", {"alignment": {"kind": "pia"}}), "RecVAE": ("recvae", {}),
}  # fmt: skip
BLENDED = ("EASE", "WMF", "Mult-VAE")


def read(name: str) -> tuple[nf.Interactions, nf.FoldIn, nf.FoldIn]:
    """Return the training items, the validation items, and the test items of all users."""
    frame = pl.read_parquet(SHARED / f"{name}.parquet").select("user", "item", "part")
    ids = [Vocabulary(frame[column].unique().sort()) for column in ("user", "item")]
    rows, columns = (v.index(frame[c]) for v, c in zip(ids, ("user", "item"), strict=True))
    parts, shape = frame["part"].to_numpy(), (len(ids[0]), len(ids[1]))

    def part(*names: str) -> nf.Interactions:
        mask = np.isin(parts, names)
        x = csr_array((np.ones(mask.sum(), np.float32), (rows[mask], columns[mask])), shape=shape)
        return nf.Interactions(x, *ids)

    train = part("train")
    return (
        train,
        nf.FoldIn(train, part("valid"), "validation"),
        nf.FoldIn(part("train", "valid"), part("test"), "test"),
    )


def measure(name: str, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """Fit on the training items, choose by the validation items, measure on the test items."""
    train, validation, test = read(name)
    models: dict[str, list[Model]] = {}
    validation_scores: dict[str, list[float]] = {}
    seconds: dict[str, float] = {}

    def fit(label: str, algorithm: nf.Algorithm, seeds: tuple[int, ...]) -> None:
        started = time.perf_counter()
        for seed in seeds:
            run = nf.Run(seed=seed, device="cpu", precision="bfloat16")
            model = algorithm.fit(train, validation, run=run)
            models.setdefault(label, []).append(model)
            score = nf.evaluate(model, validation, [METRIC]).mean(METRIC)
            validation_scores.setdefault(label, []).append(score)
        seconds[label] = round((time.perf_counter() - started) / len(seeds), 1)
        print(
            name, label, [f"{v:.4f}" for v in validation_scores[label]], seconds[label], flush=True
        )

    default = nf.EASE().resolved(train).l2
    assert default is not None
    candidates = {l2: nf.EASE(l2=l2) for l2 in (round(s * default, 3) for s in SCALES)}
    for l2, algorithm in candidates.items():
        fit(f"EASE {l2:g}", algorithm, (0,))
    best_l2 = max(candidates, key=lambda l2: validation_scores[f"EASE {l2:g}"][0])
    for l2 in candidates:
        key = f"EASE {l2:g}"
        fitted, score = models.pop(key), validation_scores.pop(key)
        if l2 == best_l2:
            models["EASE"], validation_scores["EASE"] = fitted, score
    for label, (algorithm, settings) in SINGLES.items():
        stochastic = algorithm in ("multvae", "recvae")
        fit(label, make_algorithm(algorithm, settings), SEEDS if stochastic else (0,))
    blend = nf.Blend((nf.EASE(l2=best_l2), nf.WMF(), nf.MultVAE()))
    models["blend"] = [blend.combined([models[label][0] for label in BLENDED], validation)]

    evaluations = {
        label: [nf.evaluate(model, test, [METRIC], name=label) for model in by_seed]
        for label, by_seed in models.items()
    }
    pairs = compare_all(
        {label: by_seed[0] for label, by_seed in evaluations.items()}, "EASE", [METRIC]
    )
    blend = models["blend"][0]
    assert isinstance(blend, Ensemble)
    record = {
        "users": train.n_users, "items": train.n_items,
        "test_users": len(evaluations["EASE"][0].user_ids),
        "ease_l2": {"default": default, "chosen": best_l2}, "published": PUBLISHED[name],
        "seconds": seconds, "validation": validation_scores,
        "test": {
            label: [e.mean(METRIC) for e in by_seed] for label, by_seed in evaluations.items()
        },
        "over_ease_seed_0": [pair.to_dict() for pair in pairs],
        "blend_weights": list(blend.weights),
    }  # fmt: skip
    for label, values in record["test"].items():
        print(name, label, [f"{100 * v:.2f}" for v in values], flush=True)
    return record


if __name__ == "__main__":
    sets.run(measure, SETS, __file__, __doc__)
