"""Logs with short histories: the scores of the defaults, and whether PIA helps Mult-VAE there.

    python -m benchmarks.experiments.short_histories [--data lastfm] [--out short_histories.json]

Each user keeps a random number of interactions, geometric with mean 1.6 or 3, as in shops where
most customers buy once or twice. Items with one user, and all but the 5,000 most popular, are left
out. A tenth of the users with two items (or 1,500, at most a quarter) are validation users with one
held-out item. They choose the epochs. There are no test users.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import nearfar as nf
from benchmarks.defaults import DATA, read
from benchmarks.experiments import sets
from nearfar.core.errors import CollapsedError
from nearfar.core.seeding import generator

METRIC = nf.NDCG(100)
MEANS = (1.6, 3.0)
MOST_ITEMS = 5_000
WEIGHTS = (0.03, 0.3, 3.0, 10.0)
L2_SCALES = (1 / 3, 1.0, 2.0)
"""Factors of WMF's default; the first undoes the rule for short histories."""


def shortened(x: nf.Interactions, mean: float) -> nf.Interactions:
    """Return a random part of each history, with the remaining items."""
    rng = generator(0, "short histories")
    lengths = np.diff(x.x.indptr)
    n_kept = np.minimum(lengths, rng.geometric(1 / mean, len(lengths)))
    keys = rng.random(x.n_interactions)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((keys, rows))
    random_rank = np.empty(len(keys), np.int64)
    random_rank[order] = np.arange(len(keys)) - np.repeat(x.x.indptr[:-1], lengths)
    short = x.only(random_rank < n_kept[rows])
    popular = np.argsort(-short.item_counts, kind="stable")[:MOST_ITEMS]
    short = short.on_items(short.item_ids.take(np.sort(popular[short.item_counts[popular] > 1])))
    return short.take_users(np.flatnonzero(np.diff(short.x.indptr)))


def algorithms(train: nf.Interactions) -> dict[str, nf.Algorithm]:
    """Return the algorithms by label; PIA is compared with the plain "Mult-VAE"."""
    l2 = nf.WMF().resolved(train).l2 or 0.0
    return {
        "Popularity": nf.Popularity(), "EASE": nf.EASE(), "EDLAE": nf.EDLAE(),
        **{f"WMF, {scale:.2g} l2": nf.WMF(l2=scale * l2) for scale in L2_SCALES},
        "Mult-VAE": nf.MultVAE(richer=False),
        **{
            f"Mult-VAE + PIA {weight:g}": nf.MultVAE(richer=False, alignment=nf.PIA(weight=weight))
            for weight in WEIGHTS
        },
    }  # fmt: skip


def measure(name: str, before: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Yield the record after fitting all algorithms on each shortened log that it lacks."""
    full = read(name)[0].train
    by_mean = dict(before["means"]) if before else {}
    for mean in MEANS:
        if f"{mean:g}" in by_mean:
            continue
        data = shortened(full, mean)
        share = min(0.25, max(0.1, 1500 / data.n_users))
        train, validation = nf.hold_out_users(data, share)
        evaluations, rows = {}, {}
        for label, algorithm in algorithms(train).items():
            run = nf.Run(seed=0, device="cpu", precision="bfloat16", progress=False)
            started = time.perf_counter()
            try:
                model = algorithm.fit(train, validation, run=run)
            except CollapsedError as error:
                rows[label] = {"collapsed": str(error)}
                print(name, mean, label, "collapsed", flush=True)
                continue
            seconds = round(time.perf_counter() - started, 1)
            evaluations[label] = nf.evaluate(model, validation, [METRIC], name=label)
            rows[label] = {"score": evaluations[label].mean(METRIC), "seconds": seconds}
            if records := run.history.records:
                best = max(records, key=lambda r: r.validation[str(METRIC)])
                rows[label] |= {
                    "epoch": best.epoch, "epochs": len(records),
                    "collapsed_dimensions": best.collapsed_dimensions,
                    "last": records[-1].validation[str(METRIC)],
                }  # fmt: skip
            print(name, mean, label, rows[label], flush=True)
        pairs = {
            label: nf.compare(evaluations["Mult-VAE"], evaluation, METRIC).to_dict()
            for label, evaluation in evaluations.items()
            if label != "Mult-VAE"
        }
        sizes = {
            "users": train.n_users, "items": train.n_items,
            "interactions": train.n_interactions, "validation": validation.n_users,
        }  # fmt: skip
        by_mean[f"{mean:g}"] = {"sizes": sizes, "rows": rows, "over_mult_vae": pairs}
        yield {"means": by_mean}


if __name__ == "__main__":
    sets.run(measure, [n for n in DATA if n != "magazine"], __file__, __doc__)
