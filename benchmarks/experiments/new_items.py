"""Items that no training has seen, placed by their features, on held-out users.

    python -m benchmarks.experiments.new_items [--data ml-1m] [--out new_items.json]

A tenth of the items is test items, a tenth validation items, and so with the users. Choices were
made on validation users and items, with models fitted without validation and test items; test
users and items were looked at once, with models fitted without test items. Fold-in items are four
fifths of a user's known items. Compared: each model extended by `with_new_items`; the cosine of
TF-IDF profiles (content only); iALS of irspack with item features, its settings chosen from a
small grid on validation. Features are genres, and tags that at least two known items have; irspack
factors a dense matrix of features x features, and is given tags of at least `MIN_TAG` items.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_array, csr_matrix

import nearfar as nf
from benchmarks.contest import SHARED
from benchmarks.experiments import sets
from nearfar.algorithms.algorithm import make_algorithm
from nearfar.core.ranking import Ranking
from nearfar.core.seeding import generator
from nearfar.evaluation.paired import compare

METRIC, METRICS = "Recall@20", ["Recall@20", "NDCG@20"]
SEED = 12345
MIN_TAG = 8
KINDS = {"ml-1m": ("wmf", "ease"), "citeulike-a": ("wmf", "ease")}
GRID = {"alpha0": (0.02,), "reg": (0.003, 0.01, 0.03, 0.1), "lambda_item_feature": (1.0, 10.0)}
"""Of irspack, on validation."""

Score = Callable[[Any], np.ndarray]


@dataclass(frozen=True, eq=False)
class Task:
    """Training data, new items, and users to judge by; columns are known items, then new ones."""

    train: nf.Interactions
    features: pl.DataFrame
    items: nf.Vocabulary
    among_new: nf.FoldIn
    among_all: nf.FoldIn
    known_only: nf.FoldIn

    @property
    def n_known(self) -> int:
        return self.train.n_items


class Scored:
    """Scores as a model; only `candidates` are ranked."""

    def __init__(self, score: Score, task: Task, candidates: slice) -> None:
        self.score, self.candidates = score, candidates
        n_new = len(task.items) - task.n_known
        self.popularity = np.concatenate([task.train.item_counts, np.zeros(n_new, np.int64)])
        self.n_train_users = task.train.n_users
        self.n_known = task.n_known

    def top_k(self, histories: Any, k: int, *, exclude_seen: bool = True) -> Ranking:
        """The best k of the candidates."""
        scores = np.full(histories.shape, -np.inf, np.float32)
        scores[:, self.candidates] = self.score(histories)[:, self.candidates]
        scores[histories.nonzero()] = -np.inf
        items = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(scores, items, 1)
        return Ranking(np.where(np.isfinite(found), items, -1), found)


def task_of(name: str, part: str) -> Task:
    """The task of "validation" or "test"."""
    if name == "ml-1m":
        log = nf.read_log(SHARED / "ml-1m.zip", filters=nf.Filters(min_rating=4, min_user=5))
        assert log.items is not None
        features = (
            log.items.select("item", "genres").explode("genres").rename({"genres": "feature"})
        )
    else:
        log = nf.read_log(
            pl.read_parquet(SHARED / f"{name}.parquet"), filters=nf.Filters(min_user=5)
        )
        features = pl.read_parquet(SHARED / f"{name}-tags.parquet").rename({"tag": "feature"})
    log = nf.Log(log.events, log.user_ids, nf.Vocabulary(log.item_ids.ids), name)
    x = log.interactions()
    rng = generator(SEED, "new items")
    items, users = rng.permutation(x.n_items), rng.permutation(x.n_users)
    n, m = x.n_items // 10, x.n_users // 10
    test, validation = part == "test", part == "validation"
    new = np.sort(items[:n] if test else items[n : 2 * n])
    known = np.sort(items[2 * n :] if validation else items[n:])
    judges = users[:m] if test else users[m : 2 * m]
    train = nf.Interactions(x.x[users[2 * m :]][:, known], x.user_ids.take(users[2 * m :]),
                            x.item_ids.take(known))  # fmt: skip
    order = np.concatenate([known, new])
    theirs, vocabulary = csr_array(x.x[judges][:, order]), x.item_ids.take(order)
    entries = theirs.tocoo()
    of_new = entries.col >= len(known)
    shown = ~of_new & (generator(SEED, "fold in", part).random(len(of_new)) < 0.8)

    def side(mask: np.ndarray) -> nf.Interactions:
        x = csr_array((entries.data[mask], (entries.row[mask], entries.col[mask])), theirs.shape)
        return nf.Interactions(x, log.user_ids.take(judges), vocabulary)

    def judged(mask: np.ndarray, called: str) -> nf.FoldIn:
        fold_in, held_out = side(shown), side(mask)
        rows = np.flatnonzero((np.diff(held_out.x.indptr) > 0) & (np.diff(fold_in.x.indptr) > 0))
        return nf.FoldIn(fold_in.take_users(rows), held_out.take_users(rows), called)

    there = pl.DataFrame({"item": vocabulary.ids})
    return Task(
        train, features.join(there, on="item", how="semi"), vocabulary,
        judged(of_new, "new items"), judged(~shown, "all items"),
        judged(~shown & ~of_new, "known items"),
    )  # fmt: skip


def extended(task: Task, kind: str, out: dict[str, Any]) -> tuple[Score, Score]:
    """The scores of a model with the new items, and without them."""
    started = time.perf_counter()
    train, validation = nf.hold_out_users(task.train, 0.05, seed=SEED)
    algorithm = make_algorithm(kind, {})
    model = algorithm.fit(train, validation, run=nf.Run(seed=0, device="cpu"))
    fitted = time.perf_counter()
    bundle = nf.Bundle.of(model, algorithm, train)
    wider = bundle.with_new_items(task.features, histories=train.x)
    out[kind] = {
        "fit_seconds": round(fitted - started, 1),
        "extend_seconds": round(time.perf_counter() - fitted, 1),
        **{k: wider.about.data["new_items"][k]
           for k in ("n_new", "n_left_out", "n_features", "strengths", "explained", "share")},
    }  # fmt: skip
    position = wider.items.index(task.items.ids)

    def score(histories: Any) -> np.ndarray:
        own = wider.model.score(narrow(histories, wider.n_items))
        found = np.full(histories.shape, -np.inf, np.float32)
        found[:, position >= 0] = own[:, position[position >= 0]]
        return found

    def before(histories: Any) -> np.ndarray:
        found = np.full(histories.shape, -np.inf, np.float32)
        found[:, : task.n_known] = model.score(narrow(histories, task.n_known))
        return found

    return score, before


def narrow(histories: Any, n_items: int) -> csr_array:
    """Histories of known items over a catalogue that begins with these."""
    return csr_array((histories.data, histories.indices, histories.indptr),
                     shape=(histories.shape[0], n_items))  # fmt: skip


def encoded(task: Task, min_items: int = 2) -> csr_array:
    """Features, as `with_new_items` has them, of known and new items."""
    known = task.items.ids.head(task.n_known)
    often = task.features.join(pl.DataFrame({"item": known}), on="item", how="semi")
    often = often.group_by("feature").len().filter(pl.col("len") >= min_items)
    features = nf.read_item_features(task.features.join(often, on="feature", how="semi"))
    rows = features.ids.index(task.items.ids)
    x, _ = features.encoded(rows[: task.n_known][rows[: task.n_known] >= 0])
    entries = x.tocoo()
    place = np.full(x.shape[0], -1)
    place[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
    return csr_array((entries.data, (place[entries.row], entries.col)),
                     shape=(len(task.items), x.shape[1]))  # fmt: skip


def content(task: Task) -> Score:
    """Cosines of a history's summed features with each item's."""
    x = encoded(task)
    return lambda histories: np.asarray((histories @ x @ x.T).todense(), np.float32)


def irspack(task: Task, values: dict[str, float]) -> Score:
    """iALS with item features."""
    from irspack import IALSRecommender

    x = csr_array(encoded(task, MIN_TAG if task.n_known > 5000 else 2), dtype=np.float32)
    rows = np.arange(len(task.items))
    known, new = (csr_matrix(x[r]) for r in np.split(rows, [task.n_known]))
    make: Any = IALSRecommender
    model = make(
        csr_matrix(task.train.x), n_components=128, train_epochs=10, n_threads=1,
        item_features=known, random_seed=SEED, **values,
    )  # fmt: skip
    model.learn()

    def score(histories: Any) -> np.ndarray:
        shown = csr_matrix(narrow(histories, task.n_known))
        return model.get_score_cold_user_with_item_features(shown, new).astype(np.float32)

    return score


def chosen_for_irspack(task: Task) -> dict[str, Any]:
    """The best of the grid by Recall@20 among new items, and what each had."""
    tried = []
    for values in itertools.product(*GRID.values()):
        settings = dict(zip(GRID, values, strict=True))
        model = Scored(irspack(task, settings), task, slice(task.n_known, None))
        value = nf.evaluate(model, task.among_new, METRICS).mean(METRIC)
        tried.append({**settings, METRIC: value})
        print("irspack", tried[-1], flush=True)
    return {"tried": tried, "chosen": {k: max(tried, key=lambda t: t[METRIC])[k] for k in GRID}}


def measure_part(name: str, part: str, settings: dict[str, Any]) -> dict[str, Any]:
    """All models on one part."""
    task = task_of(name, part)
    new, everything = slice(task.n_known, None), slice(None)
    models: dict[str, Any] = {}
    result: dict[str, Any] = {
        "users": task.among_new.n_users,
        "new_items": len(task.items) - task.n_known,
    }
    scores: dict[str, Score] = {"content only": content(task), "irspack": irspack(task, settings)}
    befores: dict[str, Score] = {}
    for kind in KINDS[name]:
        scores[kind], befores[kind] = extended(task, kind, models)
    rows, among_new = [], {}
    for called, score in scores.items():
        among_new[called] = nf.evaluate(Scored(score, task, new), task.among_new, METRICS)
        wide = nf.evaluate(Scored(score, task, everything), task.among_new, METRICS)
        row: dict[str, Any] = {
            "model": called,
            "among_new": {m: among_new[called].mean(m) for m in METRICS},
            "among_all": {m: wide.mean(m) for m in METRICS},
        }  # fmt: skip
        if called in befores:
            after, before = (
                nf.evaluate(Scored(s, task, everything), task.among_all, METRICS)
                for s in (score, befores[called])
            )
            row["all_targets"] = [compare(before, after, m).to_dict() for m in METRICS]
            after, before = (
                nf.evaluate(Scored(s, task, everything), task.known_only, METRICS)
                for s in (score, befores[called])
            )
            row["known_targets"] = [compare(before, after, m).to_dict() for m in METRICS]
            top = Scored(score, task, everything).top_k(task.among_all.fold_in.x, 20).items
            row["share_of_places"] = float((top >= task.n_known).mean())
        rows.append(row)
        print(name, part, row, flush=True)
    result["rows"], result["models"] = rows, models
    result["over"] = [
        {"model": kind, "over": base, **compare(among_new[base], among_new[kind], METRIC).to_dict()}
        for kind in KINDS[name] for base in ("content only", "irspack")
    ]  # fmt: skip
    return result


def measure(name: str, before: dict[str, Any] | None) -> dict[str, Any]:
    """Choose irspack's settings on validation, unless a run did before; measure both parts."""
    grid = before["irspack"] if before else chosen_for_irspack(task_of(name, "validation"))
    parts = {p: measure_part(name, p, grid["chosen"]) for p in ("validation", "test")}
    return {"seed": SEED, "irspack": grid, **parts}


if __name__ == "__main__":
    sets.run(measure, KINDS, __file__, __doc__)
