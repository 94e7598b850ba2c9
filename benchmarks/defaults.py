"""Defaults computed from the data, compared with tuned settings on validation users.

    python -m benchmarks.defaults [--data lastfm] [--only ease,wmf]

For each data set and algorithm: the validation NDCG@100 with the defaults, with the best of a grid
around them, and with the former defaults (the settings chosen on MovieLens-1M). Test users are not
used.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from scipy.sparse import csr_array, diags_array

import nearfar as nf
from benchmarks.contest import SHARED
from benchmarks.machine import provenance
from nearfar.algorithms.algorithm import make_algorithm, preset
from nearfar.algorithms.ease import DEFAULT_USER_EXPONENT, user_weighted
from nearfar.algorithms.statistics import Statistics
from nearfar.core import settings
from nearfar.core.files import write_json
from nearfar.core.ranking import Ranking
from nearfar.metrics.ndcg import NDCG
from nearfar.tables.rules import RowRules
from nearfar.tables.table import ReadOptions

METRIC = NDCG(100)
SEED = 12345
SCALES = (0.2, 0.4, 0.7, 1.0, 1.5, 2.5, 5.0)
"""Factors of a default in the grid."""

GRIDS: dict[str, dict[str, tuple[float, ...]]] = {
    "ease": {"l2": SCALES},
    "edlae": {"l2": (0.4, 1.0, 2.5), "dropout": (0.6, 1.0, 1.5)},
    "wmf": {"l2": (0.4, 1.0, 2.5), "unobserved_weight": (0.3, 1.0, 2.5)},
    "mf": {"l2": (0.4, 0.6, 0.8, 1.0, 1.25, 1.6)},
    "plrec": {"l2": (0.01, 0.1, 1.0, 10.0), "popularity_exponent": (0.5, 1.0, 1.5)},
}
"""Factors of the defaults in the grid, in all combinations."""

LARGE_ITEMS = 5_000
COARSE: dict[str, dict[str, tuple[float, ...]]] = {
    "ease": {"l2": (0.2, 0.4, 1.0, 2.5, 5.0)},
    "edlae": {"l2": (0.4, 1.0, 2.5), "dropout": (1.0, 1.5)},
}
"""The grids above `LARGE_ITEMS` items, where an inverse is slow."""

BLOCK = 1024


def read(name: str) -> list[nf.Split]:
    """Return the splits of a data set: ten of magazine, which has 63 validation users, else one."""
    return [_split(name, SEED + i) for i in range(10 if name == "magazine" else 1)]


def _split(name: str, seed: int) -> nf.Split:
    """Return a split of a data set: users of at least five items, a tenth of them held out.

    ml-1m holds out 600 users, gowalla, yelp and npm 2,000. npm is a sample of 30,000 packages.
    Items have at least 10 users in npm and yelp, and 40 in gowalla.
    """
    if name == "ml-1m":
        log = nf.read_log(SHARED / "ml-1m.zip", filters=nf.Filters(min_rating=4, min_user=5))
        return nf.split_strong(log, 600, seed=seed)
    if name == "gowalla":
        filters = nf.Filters(min_user=5, min_item=40)
        return nf.split_strong(nf.read_log(_gowalla(), filters=filters), 2000, seed=seed)
    if name == "yelp":
        frame = pl.read_parquet(SHARED / "yelp-sparse.parquet").select("user", "item")
        log = nf.read_log(frame, filters=nf.Filters(min_user=5, min_item=10))
        return nf.split_strong(log, 2000, seed=seed)
    if name == "npm":
        frame = pl.read_parquet(SHARED / "npm.parquet").select(user="package", item="dependency")
        users = frame["user"].unique().sort().sample(30_000, seed=1, shuffle=True)
        frame = frame.filter(pl.col("user").is_in(users.implode()))
        # A package has the name "nan".
        options = ReadOptions(rules=RowRules(literal_ids=True))
        log = nf.read_log(frame, filters=nf.Filters(min_user=5, min_item=10), options=options)
        return nf.split_strong(log, 2000, seed=seed)
    file = {"magazine": "magazine-infinite-ae.parquet"}.get(name, f"{name}.parquet")
    frame = pl.read_parquet(SHARED / file).select("user", "item")
    return nf.split_strong(nf.read_log(frame, filters=nf.Filters(min_user=5)), 0.1, seed=seed)


DATA = ("magazine", "lastfm", "citeulike-a", "yelp", "npm", "gowalla", "ml-1m")


def _gowalla() -> pl.DataFrame:
    rows = []
    with zipfile.ZipFile(SHARED / "gowalla.zip") as archive:
        name = next(n for n in archive.namelist() if n.endswith("train.txt"))
        for line in archive.read(name).decode().splitlines():
            user, *items = line.split()
            rows += [(int(user), int(item)) for item in items]
    return pl.DataFrame(rows, schema=["user", "item"], orient="row")


class ScoredUsers:
    """A model of precomputed scores; histories must come in the order of the scores' users."""

    def __init__(self, scores: np.ndarray, train: nf.Interactions) -> None:
        self.scores, self.n_ranked = scores, 0
        self.popularity, self.n_train_users = train.item_counts, train.n_users

    def top_k(self, histories: Any, k: int, *, exclude_seen: bool = True) -> Ranking:
        """Return the best k items of the next users."""
        n = histories.shape[0]
        scores = self.scores[self.n_ranked : self.n_ranked + n].copy()
        self.n_ranked += n
        rows = np.repeat(np.arange(n), np.diff(histories.indptr))
        scores[rows, histories.indices] = -np.inf
        k = min(k, scores.shape[1])
        items = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        values = np.take_along_axis(scores, items, 1)
        items[~np.isfinite(values)] = -1
        return Ranking(items.astype(np.int64), values.astype(np.float32))


def closed_form(
    split: nf.Split, l2: float, odds: float = 0.0, user_exponent: float = DEFAULT_USER_EXPONENT
) -> float:
    """Return the validation NDCG@100 of EASE or EDLAE, by the smaller of two inverses.

    With fewer users than items, (X'X + D)^-1 = D^-1 - D^-1 X' (I + X D^-1 X')^-1 X D^-1 needs an
    inverse of users x users only, so a grid takes minutes.

    Args:
        split: the training and validation users.
        l2: ridge penalty common to all items.
        odds: further penalty relative to an item's interactions, as in EDLAE.
        user_exponent: see `nf.EASE`.
    """
    x = user_weighted(split.train, user_exponent)
    penalties = odds * np.bincount(x.indices, x.data, minlength=x.shape[1]) + l2
    x.data = np.sqrt(x.data)
    n_users, n_items = x.shape
    penalties = penalties.astype(np.float32)
    users = np.flatnonzero(np.diff(split.validation.held_out.x.indptr))
    histories = csr_array(split.validation.fold_in.x[users])
    if n_users < n_items:
        scaled = csr_array(x @ diags_array(1 / penalties)).astype(np.float32)
        user_matrix = (scaled @ x.T).toarray()
        user_matrix.flat[:: n_users + 1] += 1
        inverse = torch.linalg.inv(torch.from_numpy(user_matrix)).numpy()
        diagonal = 1 / penalties
        by_item = csr_array(scaled.T)
        for start in range(0, n_items, BLOCK):
            rows = by_item[start : start + BLOCK]
            diagonal[start : start + BLOCK] -= (rows @ inverse * rows.toarray()).sum(1)
        product = (
            histories.toarray() / penalties - (by_item @ ((histories @ scaled.T) @ inverse).T).T
        )
    else:
        gram = (x.T @ x).toarray()
        gram.flat[:: n_items + 1] += penalties
        inverse = torch.linalg.inv(torch.from_numpy(gram)).numpy()
        diagonal, product = np.diagonal(inverse), histories @ inverse
    scores = histories.toarray() - product / diagonal
    model = ScoredUsers(scores, split.train)
    return nf.evaluate(model, split.validation, [METRIC], batch_size=1 << 30).mean(METRIC)


def measure(splits: list[nf.Split], name: str, values: dict[str, Any]) -> float:
    """Return an algorithm's validation NDCG@100 with these settings, averaged over the splits."""
    return float(np.mean([_measure(split, name, values) for split in splits]))


def _measure(split: nf.Split, name: str, values: dict[str, Any]) -> float:
    if name in ("ease", "edlae"):
        dropout = values.get("dropout", 0.0)
        return closed_form(split, values["l2"], dropout / (1 - dropout), values["user_exponent"])
    algorithm = make_algorithm(name, values)
    model = algorithm.fit(split.train, run=nf.Run(seed=1, device="cpu"))
    return nf.evaluate(model, split.validation, [METRIC]).mean(METRIC)


def grid_settings(name: str, defaults: dict[str, Any], n_items: int) -> Iterator[dict[str, Any]]:
    """Yield the settings of the grid around the defaults."""
    grid = COARSE[name] if name in COARSE and n_items > LARGE_ITEMS else GRIDS[name]
    for scales in itertools.product(*grid.values()):
        values = dict(defaults)
        for key, scale in zip(grid, scales, strict=True):
            values[key] = defaults[key] * scale
        if values.get("unobserved_weight", 0) <= 1 and values.get("dropout", 0) < 1:
            yield values


def row(splits: list[nf.Split], name: str) -> dict[str, Any]:
    """Return the scores of the defaults, of the grid, and of MovieLens-1M's settings."""
    plain = settings.to_plain(make_algorithm(name, {}).resolved(splits[0].train))
    defaults = {k: v for k, v in plain.items() if k != "kind"}
    trials = []
    for values in grid_settings(name, defaults, splits[0].train.n_items):
        try:
            score = measure(splits, name, values)
        except nf.NearfarError as error:
            print(f"    {name}: {error}")
            continue
        trials.append({**{k: values[k] for k in GRIDS[name]}, "score": score})
    before = {**defaults, **{k: v for k, v in preset(name, "ml-1m").items() if k in defaults}}
    score = measure(splits, name, before)
    trials.append({**{k: before[k] for k in GRIDS[name]}, "score": score, "preset": "ml-1m"})
    default = next(t["score"] for t in trials if all(t[k] == defaults[k] for k in GRIDS[name]))
    best = max(trials, key=lambda t: t["score"])
    return {
        "defaults": defaults,
        "default": default,
        "best": best,
        "short_by": 1 - default / best["score"],
        "before": score,
        "tried": trials,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", action="append", choices=DATA)
    parser.add_argument("--only", help="comma-separated algorithms")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    records = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for data in arguments.data or DATA:
        splits = read(data)
        record = records.setdefault(data, {})
        record["statistics"] = vars(Statistics.of(splits[0].train))
        record["validation_users"] = sum(s.validation.n_users for s in splits)
        record["splits"] = len(splits)
        record["provenance"] = provenance()
        for name in arguments.only.split(",") if arguments.only else GRIDS:
            started = time.perf_counter()
            result = record[name] = row(splits, name)
            write_json(arguments.out, records)
            print(
                f"{data} {name}: default {result['default']:.4f}, best {result['best']}, short by "
                f"{result['short_by']:.1%}, ml-1m's settings {result['before']:.4f} "
                f"({time.perf_counter() - started:.0f} s)", flush=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
