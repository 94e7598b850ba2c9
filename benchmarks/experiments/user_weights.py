"""Does it help to weight users by n^-e, n the number of their interactions?

    python -m benchmarks.experiments.user_weights [--data lastfm] [--out user_weights.json]

A mean over users counts all users alike, but a loss summed over interactions counts heavy users
more. The training interactions get the weight n^-e. EASE and EDLAE have that as a setting. Only
validation users are used; they also choose Mult-VAE's epochs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

import nearfar as nf
from benchmarks.defaults import DATA, read
from benchmarks.experiments import carry_over, sets
from nearfar.algorithms.algorithm import make_algorithm

METRIC = "NDCG@100"
EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)
ALGORITHMS: dict[str, tuple[str, dict[str, Any]]] = {
    "ease": ("ease", {}),
    "edlae": ("edlae", {}),
    "plrec": ("plrec", {}),
    "multvae": ("multvae", {"richer": False}),
    "wmf": ("wmf", {}),
}


def weighted(train: nf.Interactions, exponent: float) -> nf.Interactions:
    """Return the interactions with the weight n^-exponent."""
    counts = np.diff(train.x.indptr)
    per_user = np.maximum(counts, 1.0) ** -exponent
    return replace(train, weights=np.repeat(per_user, counts).astype(np.float32))


def measure(name: str, before: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Yield the record of a data set after each fit; fits of an earlier run are kept."""
    splits = [carry_over.read(name)] if name in carry_over.DATA else read(name)
    scores = dict((before or {}).get("scores", {}))
    record: dict[str, Any] = {"validation_users": splits[0].validation.n_users, "scores": scores}
    for label, (algorithm, values) in ALGORITHMS.items():
        if algorithm == "multvae" and len(splits) > 1:
            continue
        for exponent in EXPONENTS:
            key = f"{label} {exponent:g}"
            if key in scores:
                continue
            started = time.perf_counter()
            scores[key] = float(np.mean([fitted(s, algorithm, values, exponent) for s in splits]))
            seconds = time.perf_counter() - started
            print(name, key, f"{scores[key]:.4f}", f"{seconds:.0f} s", flush=True)
            yield record


def fitted(split: nf.Split, name: str, values: dict[str, Any], exponent: float) -> float:
    """Return the validation score of an algorithm fitted on weighted users."""
    train = weighted(split.train, exponent) if exponent else split.train
    run = nf.Run(seed=0, device="cpu")
    model = make_algorithm(name, values).fit(train, split.validation, run=run)
    return nf.evaluate(model, split.validation, [METRIC]).mean(METRIC)


if __name__ == "__main__":
    sets.run(measure, (*DATA, *carry_over.DATA), __file__, __doc__)
