"""Recommending items that have no interactions yet, by their features, to held-out users.

    python -m benchmarks.experiments.new_items [--data ml-1m] [--out new_items.json]

A tenth of the items are test items and a tenth validation items, and likewise the users. Choices
were made on validation users and items, with models fitted without validation and test items. Test
users and items were used once, with models fitted without test items. Fold-in items are four fifths
of a user's known items. Compared: each model extended by `with_new_items`; the cosine of TF-IDF
profiles (content only); irspack's iALS with item features, with settings from a small grid on
validation. Features are genres, and tags of at least two known items. irspack factorises a dense
matrix of features x features, so it gets tags of at least `MIN_TAG` items only.
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
IRSPACK_GRID = {
    "alpha0": (0.02,),
    "reg": (0.003, 0.01, 0.03, 0.1),
    "lambda_item_feature": (1.0, 10.0),
}
"""Settings of irspack that are tried on validation."""

Score = Callable[[Any], np.ndarray]


@dataclass(frozen=True, eq=False)
class Task:
    """Training data, new items, and held-out users; columns are known items, then new items.

    Attributes:
        train: training interactions with known items.
        features: features of known and new items.
        items: known items, then new items.
        among_new: held-out users whose targets are new items.
        among_all: held-out users whose targets are all held-out items.
        known_only: held-out users whose targets are known items.
    """

    train: nf.Interactions
    features: pl.DataFrame
    items: nf.Vocabulary
    among_new: nf.FoldIn
    among_all: nf.FoldIn
    known_only: nf.FoldIn

    @property
    def n_known(self) -> int:
        return self.train.n_items


class ScoreModel:
    """A model of a score function that ranks only the `candidates`."""

    def __init__(self, score: Score, task: Task, candidates: slice) -> None:
        self.score, self.candidates = score, candidates
        n_new = len(task.items) - task.n_known
        self.popularity = np.concatenate([task.train.item_counts, np.zeros(n_new, np.int64)])
        self.n_train_users = task.train.n_users
        self.n_known = task.n_known

    def top_k(self, histories: Any, k: int, *, exclude_seen: bool = True) -> Ranking:
        """Return the best k candidates for each history."""
        scores = np.full(histories.shape, -np.inf, np.float32)
        scores[:, self.candidates] = self.score(histories)[:, self.candidates]
        scores[histories.nonzero()] = -np.inf
        items = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(scores, items, 1)
        return Ranking(np.where(np.isfinite(best), items, -1), best)


def task_of(name: str, part: str) -> Task:
    """Return the task of the part "validation" or "test" of a data set."""
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
    held_out_users = users[:m] if test else users[m : 2 * m]
    train = nf.Interactions(x.x[users[2 * m :]][:, known], x.user_ids.take(users[2 * m :]),
                            x.item_ids.take(known))  # fmt: skip
    order = np.concatenate([known, new])
    histories, vocabulary = csr_array(x.x[held_out_users][:, order]), x.item_ids.take(order)
    entries = histories.tocoo()
    is_new = entries.col >= len(known)
    in_fold_in = ~is_new & (generator(SEED, "fold in", part).random(len(is_new)) < 0.8)

    def side(mask: np.ndarray) -> nf.Interactions:
        x = csr_array((entries.data[mask], (entries.row[mask], entries.col[mask])), histories.shape)
        return nf.Interactions(x, log.user_ids.take(held_out_users), vocabulary)

    def held_out_users_of(mask: np.ndarray, label: str) -> nf.FoldIn:
        fold_in, held_out = side(in_fold_in), side(mask)
        rows = np.flatnonzero((np.diff(held_out.x.indptr) > 0) & (np.diff(fold_in.x.indptr) > 0))
        return nf.FoldIn(fold_in.take_users(rows), held_out.take_users(rows), label)

    item_frame = pl.DataFrame({"item": vocabulary.ids})
    return Task(
        train, features.join(item_frame, on="item", how="semi"), vocabulary,
        held_out_users_of(is_new, "new items"), held_out_users_of(~in_fold_in, "all items"),
        held_out_users_of(~in_fold_in & ~is_new, "known items"),
    )  # fmt: skip


def extended(task: Task, kind: str, records: dict[str, Any]) -> tuple[Score, Score]:
    """Return the scores of a model with the new items and without them, and add its record."""
    started = time.perf_counter()
    train, validation = nf.hold_out_users(task.train, 0.05, seed=SEED)
    algorithm = make_algorithm(kind, {})
    model = algorithm.fit(train, validation, run=nf.Run(seed=0, device="cpu"))
    fit_end = time.perf_counter()
    bundle = nf.Bundle.of(model, algorithm, train)
    extended_bundle = bundle.with_new_items(task.features, histories=train.x)
    records[kind] = {
        "fit_seconds": round(fit_end - started, 1),
        "extend_seconds": round(time.perf_counter() - fit_end, 1),
        **{k: extended_bundle.metadata.data["new_items"][k]
           for k in ("n_new", "n_left_out", "n_features", "strengths", "explained", "share")},
    }  # fmt: skip
    position = extended_bundle.items.index(task.items.ids)

    def score(histories: Any) -> np.ndarray:
        model_scores = extended_bundle.model.score(narrow(histories, extended_bundle.n_items))
        scores = np.full(histories.shape, -np.inf, np.float32)
        scores[:, position >= 0] = model_scores[:, position[position >= 0]]
        return scores

    def score_known(histories: Any) -> np.ndarray:
        scores = np.full(histories.shape, -np.inf, np.float32)
        scores[:, : task.n_known] = model.score(narrow(histories, task.n_known))
        return scores

    return score, score_known


def narrow(histories: Any, n_items: int) -> csr_array:
    """Return histories of known items over a catalogue of n_items that begins with these items."""
    return csr_array((histories.data, histories.indices, histories.indptr),
                     shape=(histories.shape[0], n_items))  # fmt: skip


def encoded(task: Task, min_items: int = 2) -> csr_array:
    """Return the features of known and new items in the encoding of `with_new_items`."""
    known = task.items.ids.head(task.n_known)
    frequent = task.features.join(pl.DataFrame({"item": known}), on="item", how="semi")
    frequent = frequent.group_by("feature").len().filter(pl.col("len") >= min_items)
    features = nf.read_item_features(task.features.join(frequent, on="feature", how="semi"))
    rows = features.ids.index(task.items.ids)
    x, _ = features.encoded(rows[: task.n_known][rows[: task.n_known] >= 0])
    entries = x.tocoo()
    column = np.full(x.shape[0], -1)
    column[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
    return csr_array((entries.data, (column[entries.row], entries.col)),
                     shape=(len(task.items), x.shape[1]))  # fmt: skip


def content(task: Task) -> Score:
    """Return a function for the cosines of a history's summed features with each item's."""
    x = encoded(task)
    return lambda histories: np.asarray((histories @ x @ x.T).todense(), np.float32)


def irspack(task: Task, values: dict[str, float]) -> Score:
    """Return the scores of irspack's iALS with item features."""
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
        fold_in = csr_matrix(narrow(histories, task.n_known))
        return model.get_score_cold_user_with_item_features(fold_in, new).astype(np.float32)

    return score


def choose_irspack_settings(task: Task) -> dict[str, Any]:
    """Return the settings with the best Recall@20 among new items, and all trials."""
    trials = []
    for values in itertools.product(*IRSPACK_GRID.values()):
        settings = dict(zip(IRSPACK_GRID, values, strict=True))
        model = ScoreModel(irspack(task, settings), task, slice(task.n_known, None))
        value = nf.evaluate(model, task.among_new, METRICS).mean(METRIC)
        trials.append({**settings, METRIC: value})
        print("irspack", trials[-1], flush=True)
    return {
        "tried": trials,
        "chosen": {k: max(trials, key=lambda t: t[METRIC])[k] for k in IRSPACK_GRID},
    }


def measure_part(name: str, part: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the record of all models on one part."""
    task = task_of(name, part)
    new_items, all_items = slice(task.n_known, None), slice(None)
    models: dict[str, Any] = {}
    result: dict[str, Any] = {
        "users": task.among_new.n_users,
        "new_items": len(task.items) - task.n_known,
    }
    scores: dict[str, Score] = {"content only": content(task), "irspack": irspack(task, settings)}
    scores_of_known: dict[str, Score] = {}
    for kind in KINDS[name]:
        scores[kind], scores_of_known[kind] = extended(task, kind, models)
    rows, among_new = [], {}
    for label, score in scores.items():
        among_new[label] = nf.evaluate(ScoreModel(score, task, new_items), task.among_new, METRICS)
        among_all = nf.evaluate(ScoreModel(score, task, all_items), task.among_new, METRICS)
        row: dict[str, Any] = {
            "model": label,
            "among_new": {m: among_new[label].mean(m) for m in METRICS},
            "among_all": {m: among_all.mean(m) for m in METRICS},
        }  # fmt: skip
        if label in scores_of_known:
            after, before = (
                nf.evaluate(ScoreModel(s, task, all_items), task.among_all, METRICS)
                for s in (score, scores_of_known[label])
            )
            row["all_targets"] = [compare(before, after, m).to_dict() for m in METRICS]
            after, before = (
                nf.evaluate(ScoreModel(s, task, all_items), task.known_only, METRICS)
                for s in (score, scores_of_known[label])
            )
            row["known_targets"] = [compare(before, after, m).to_dict() for m in METRICS]
            top = ScoreModel(score, task, all_items).top_k(task.among_all.fold_in.x, 20).items
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
    """Choose irspack's settings on validation, or take those of the record; measure both parts."""
    grid = before["irspack"] if before else choose_irspack_settings(task_of(name, "validation"))
    parts = {p: measure_part(name, p, grid["chosen"]) for p in ("validation", "test")}
    return {"seed": SEED, "irspack": grid, **parts}


if __name__ == "__main__":
    sets.run(measure, KINDS, __file__, __doc__)
