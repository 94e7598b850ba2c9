"""Do the defaults carry over? Data sets that no default was chosen on, against a grid of EASE.

    python -m benchmarks.experiments.carry_over [--data tags] [--out carry_over.json]

The data sets are the known ones transposed, with items as users and users as items, and the tags of
citeulike-a's articles. They have other sizes, densities and skews. Only validation users are used;
they choose each network's epoch and the best of the grid of EASE and EDLAE.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import polars as pl

import nearfar as nf
from benchmarks.defaults import SEED, SHARED, closed_form
from benchmarks.experiments import sets
from nearfar.tables.rules import RowRules
from nearfar.tables.table import ReadOptions

METRIC = "NDCG@100"
SCALES = (0.1, 0.2, 0.4, 1.0, 2.5, 5.0)
"""Factors of the default l2 in the grid."""

DATA: dict[str, tuple[str, str, str, int]] = {
    "tags": ("citeulike-a-tags", "item", "tag", 10),
    "citeulike-a transposed": ("citeulike-a", "item", "user", 5),
    "lastfm transposed": ("lastfm", "item", "user", 5),
    "yelp transposed": ("yelp-sparse", "item", "user", 5),
    "npm transposed": ("npm", "dependency", "package", 12),
}
"""Data set -> file, column of users, column of items, least number of users per item."""


def read(name: str) -> nf.Split:
    """Return users of at least five items, of whom a tenth, at most 2,000, are held out."""
    file, user, item, min_item = DATA[name]
    frame = pl.read_parquet(SHARED / f"{file}.parquet").select(user=user, item=item)
    options = ReadOptions(rules=RowRules(literal_ids=True))  # a package has the name "nan"
    filters = nf.Filters(min_user=5, min_item=min_item)
    log = nf.read_log(frame, filters=filters, options=options)
    split = nf.split_strong(log, 0.1, seed=SEED)
    if split.validation.n_users <= 2000:
        return split
    return nf.split_strong(log, 2000, seed=SEED)


def measure(name: str, before: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Yield the record of a data set after the grid and after each model."""
    split = read(name)
    train = split.train
    record: dict[str, Any] = {
        "users": train.n_users,
        "items": train.n_items,
        "interactions": train.n_interactions,
        "validation_users": split.validation.n_users,
        "scores": {},
        "seconds": {},
    }
    print(name, record, flush=True)
    l2 = nf.EASE().resolved(train).l2
    assert l2 is not None
    for scale in SCALES:
        for kind, dropout in (("ease", 0.0), ("edlae", 0.33)):
            score = closed_form(split, scale * l2, dropout / (1 - dropout))
            record["scores"][f"{kind} {scale:g}"] = score
    print(name, {k: round(v, 4) for k, v in record["scores"].items()}, flush=True)
    yield record
    models = {
        "popularity": nf.Popularity(),
        "wmf": nf.WMF(),
        "plrec": nf.PLRec(),
        "multvae plain": nf.MultVAE(richer=False),
        "multvae": nf.MultVAE(),
        "multvae pia": nf.MultVAE(alignment=nf.PIA()),
    }
    for label, algorithm in models.items():
        started = time.perf_counter()
        run = nf.Run(seed=0, device="cpu", precision="bfloat16")
        model = algorithm.fit(train, split.validation, run=run)
        score = nf.evaluate(model, split.validation, [METRIC]).mean(METRIC)
        record["scores"][label] = score
        record["seconds"][label] = round(time.perf_counter() - started, 1)
        print(name, label, round(score, 4), record["seconds"][label], flush=True)
        yield record


if __name__ == "__main__":
    sets.run(measure, DATA, __file__, __doc__)
