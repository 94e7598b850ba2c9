"""The third network of Mult-VAE's default, a Gaussian one, on validation users with two seeds.

    python -m benchmarks.experiments.gaussian_network [--data tags] [--out gaussian_network.json]

The sets are those of benchmarks.defaults and carry_over, and "gowalla-active": the visits of users
with at least 28 places, at places with at least 22 visitors. Test users are not used, except by
NAME@test, which measures the network once on the test users of a set of benchmarks.defaults, with
the epochs that its validation users choose. The results are in docs/defaults.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import nearfar as nf
from benchmarks.defaults import DATA, SHARED, read
from benchmarks.experiments import carry_over, sets
from nearfar.algorithms.algorithm import Algorithm
from nearfar.evaluation.paired import compare
from nearfar.vae.likelihoods.likelihood import TrainingCounts

METRIC = "NDCG@100"
SEEDS = (0, 1)
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


if __name__ == "__main__":
    names = [n for n in DATA if n != "magazine"]
    sets.run(measure, [*names, ACTIVE, *carry_over.DATA], __file__, __doc__)
