"""The third network of Mult-VAE's default, a Gaussian one, on validation users with two seeds.

    python -m benchmarks.experiments.gaussian_network [--data tags] [--out gaussian_network.json]

The sets are those of benchmarks.defaults and carry_over, and "gowalla-active": the visits of users
with at least 28 places, at places with at least 22 visitors. Test users are not used, except by
NAME@test, which measures the network once on the test users of a set of benchmarks.defaults, with
the epochs that its validation users choose, and "table1", which does so on the five splits of
MovieLens-1M of `nearfar reproduce table1`, beside EDLAE and WMF with their presets for these data.
The results are in docs/defaults.md and docs/results.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import stats

import nearfar as nf
from benchmarks.defaults import DATA, SHARED, read
from benchmarks.experiments import carry_over, sets
from nearfar.algorithms.algorithm import Algorithm
from nearfar.evaluation.paired import compare
from nearfar.vae.likelihoods.likelihood import TrainingCounts

METRIC = "NDCG@100"
SEEDS = (0, 1)
SPLIT_SEEDS = (98765, 98766, 98767, 98768, 98769)
ACTIVE = "gowalla-active"


def split_of(name: str) -> nf.Split:
    """Return the split of a data set."""
    if name == ACTIVE:
        filters = nf.Filters(min_user=28, min_item=22)
        return nf.split_strong(
            nf.read_log(SHARED / "gowalla.zip", filters=filters), 0.1, seed=12345
        )
    return carry_over.read(name) if name in carry_over.DATA else read(name)[0]


def algorithms(name: str, split: nf.Split) -> dict[str, Algorithm]:
    """Return the algorithms to fit: on a new set also the other networks and linear models."""
    catalogue = TrainingCounts(split.train.item_counts, split.train.n_users)
    plain, richer, gaussian = nf.MultVAE().alternatives(catalogue)
    if name != ACTIVE:
        return {"gaussian": gaussian}
    linear = {"ease": nf.EASE(), "edlae": nf.EDLAE(), "plrec": nf.PLRec(), "wmf": nf.WMF()}
    return {"gaussian": gaussian, **linear, "plain": plain, "richer": richer}


def fit(algorithm: Algorithm, split: nf.Split, seed: int) -> tuple[nf.Model, dict[str, Any]]:
    """Return the model of one training, and its numbers on the validation users."""
    run = nf.Run(seed=seed, device="cpu", precision="bfloat16")
    started = time.process_time()
    model = algorithm.fit(split.train, split.validation, run=run)
    scores = [record.validation[METRIC] for record in run.history.records]
    score = max(scores) if scores else nf.evaluate(model, split.validation, [METRIC]).mean(METRIC)
    numbers = {
        "seed": seed, "score": score, "epochs": len(scores),
        "best_epoch": scores.index(score) + 1 if scores else 0,
        "cpu_seconds": round(time.process_time() - started, 1),
    }  # fmt: skip
    return model, numbers


def measure(name: str, before: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Yield the record of a data set after each training that it lacks."""
    if name == "table1":
        yield on_splits_of_table1()
        return
    data, _, test = name.partition("@")
    split = split_of(data)
    record: dict[str, Any] = before or {"trainings": {}}
    for label, algorithm in algorithms(data, split).items():
        trainings = record["trainings"].setdefault(label, [])
        for seed in SEEDS if label == "gaussian" and not test else SEEDS[:1]:
            if any(training["seed"] == seed for training in trainings):
                continue
            model, numbers = fit(algorithm, split, seed)
            if test:
                numbers |= on_test_users(model, split)
            trainings.append(numbers)
            print(name, label, numbers, flush=True)
            yield record


def on_test_users(model: nf.Model, split: nf.Split) -> dict[str, Any]:
    """Return the score on the test users, and the difference from EASE and EDLAE."""
    own = nf.evaluate(model, split.test, [METRIC])
    linear = {"ease": nf.EASE(), "edlae": nf.EDLAE()}
    others = {k: nf.evaluate(a.fit(split.train), split.test, [METRIC]) for k, a in linear.items()}
    over = {f"over_{k}": compare(other, own, METRIC).to_dict() for k, other in others.items()}
    return {"test": own.mean(METRIC), "test_users": split.test.n_users, **over}


def on_splits_of_table1() -> dict[str, Any]:
    """Return the scores on the test users of five splits, and the differences user by user."""
    values: dict[str, list[np.ndarray]] = {}
    means: dict[str, list[float]] = {}
    for seed in SPLIT_SEEDS:
        filters = nf.Filters(min_rating=4, min_user=5)
        log = nf.read_log(SHARED / "ml-1m.zip", filters=filters)
        split = nf.split_strong(log, 600, seed=seed)
        models: dict[str, nf.Model] = {
            "gaussian": fit(algorithms("ml-1m", split)["gaussian"], split, 0)[0],
            "edlae": nf.EDLAE.from_preset("ml-1m").fit(split.train),
            "wmf": nf.WMF.from_preset("ml-1m").fit(split.train, split.validation),
        }
        for label, model in models.items():
            evaluation = nf.evaluate(model, split.test, [METRIC])
            values.setdefault(label, []).append(evaluation.values(METRIC))
            means.setdefault(label, []).append(evaluation.mean(METRIC))
        print(seed, {label: f"{scores[-1]:.4f}" for label, scores in means.items()}, flush=True)
    record: dict[str, Any] = {"split_seeds": list(SPLIT_SEEDS), "means": means}
    for label in ("edlae", "wmf"):
        gains = np.concatenate(values["gaussian"]) - np.concatenate(values[label])
        test = stats.ttest_1samp(gains, 0)
        low, high = test.confidence_interval()
        record[f"over_{label}"] = {
            "difference": float(gains.mean()), "low": float(low), "high": float(high),
            "p": float(test.pvalue),  # pyright: ignore[reportAttributeAccessIssue]
            "n_users": len(gains),
        }  # fmt: skip
    return record


if __name__ == "__main__":
    names = [n for n in DATA if n != "magazine"]
    sets.run(measure, [*names, ACTIVE, *carry_over.DATA], __file__, __doc__)
