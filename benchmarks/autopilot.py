"""The autopilot against irspack's search, with the same minutes and the same users.

    python -m benchmarks.autopilot --data lastfm --data magazine --minutes 4

irspack 0.5.2 tunes one recommender at a time (`Recommender.tune` with a timeout, by Optuna); it has
no search over several. Here it tunes IALS, EDLAE and RP3beta with equal shares of the minutes. Both
libraries choose by the NDCG@100 of the same validation users, fit the winner again on all users
except the test users, and are measured on the test users once.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse

import nearfar as nf
from benchmarks.defaults import DATA, read
from benchmarks.machine import provenance
from nearfar.core.files import write_json
from nearfar.core.ranking import Ranking
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.evaluation.evaluate import Evaluation
from nearfar.evaluation.paired import compare
from nearfar.metrics.ndcg import NDCG

METRIC = NDCG(100)
PEERS = ("IALSRecommender", "EDLAERecommender", "RP3betaRecommender")


class Peer:
    """A recommender of irspack with the interface that `nf.evaluate` needs.

    Args:
        model: a fitted recommender.
        train: its training interactions.
    """

    def __init__(self, model: Any, train: Interactions) -> None:
        self.model = model
        self.popularity = train.item_counts
        self.n_train_users = train.n_users

    def top_k(self, histories: Any, k: int, *, exclude_seen: bool = True) -> Ranking:
        """Return the best k items for each history, without its own items."""
        scores = np.array(self.model.get_score_cold_user(scipy.sparse.csr_matrix(histories)))
        rows = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
        scores[rows, histories.indices] = -np.inf
        k = min(k, scores.shape[1])
        items = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        values = np.take_along_axis(scores, items, 1)
        items[~np.isfinite(values)] = -1
        return Ranking(items.astype(np.int64), values.astype(np.float32))


def without_test_users(split: nf.Split) -> Interactions:
    """Return the whole histories of all users except the test users."""
    train, validation = split.train, split.validation
    histories = validation.fold_in.x + validation.held_out.x
    x = scipy.sparse.vstack([train.x, histories], format="csr")
    ids = nf.Vocabulary(pl.concat([train.user_ids.ids, validation.fold_in.user_ids.ids]))
    return Interactions(scipy.sparse.csr_array(x), ids, train.item_ids)


def run_autopilot(data: Interactions, test: FoldIn, minutes: float) -> tuple[Evaluation, dict, Any]:
    """Return the autopilot's evaluation on the test users, its record, and its held-out users."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "best"
        started = time.perf_counter()
        outcome = nf.autopilot(data, out, nf.AutopilotOptions(minutes=minutes), say=print)
        seconds = time.perf_counter() - started
        bundle = nf.load_bundle(out)
        evaluation = nf.evaluate(bundle.model, test, [METRIC], name="nearfar autopilot")
    assert outcome.leaderboard is not None
    record = {
        "seconds": seconds,
        "winner": outcome.leaderboard.winner.family.name,
        "validation": outcome.leaderboard.winner.trial.score,
        "settings": outcome.leaderboard.winner.trial.values,
        "n_trials": outcome.n_trials,
        "verdict": outcome.leaderboard.verdict(),
        "left_out": outcome.leaderboard.left_out,
    }
    return evaluation, record, outcome.held_out


def run_irspack(
    data: Interactions, held_out: Any, test: FoldIn, minutes: float
) -> tuple[Evaluation, dict]:
    """Return the evaluation of irspack's best recommender on the test users, and its record."""
    from irspack import recommenders
    from irspack.evaluation import EvaluatorWithColdUser

    logger = logging.getLogger("irspack")
    logger.setLevel(logging.WARNING)
    matrix = scipy.sparse.csr_matrix
    evaluator = EvaluatorWithColdUser(
        matrix(held_out.validation.fold_in.x), matrix(held_out.validation.held_out.x),
        cutoff=100, target_metric="ndcg",
    )  # fmt: skip
    started = time.perf_counter()
    families: dict[str, dict[str, Any]] = {}
    best: tuple[float, str, dict[str, Any]] | None = None
    for name in PEERS:
        peer = getattr(recommenders, name)
        parameters, trials = peer.tune(
            matrix(held_out.train.x), evaluator, n_trials=10_000,
            timeout=int(60 * minutes / len(PEERS)), tuning_random_seed=0, logger=logger,
        )  # fmt: skip
        model = peer(matrix(held_out.train.x), **parameters).learn()
        score = nf.evaluate(Peer(model, held_out.train), held_out.validation, [METRIC]).mean(METRIC)
        families[name] = {"validation": score, "n_trials": len(trials), "settings": parameters}
        print(name, families[name], flush=True)
        if best is None or score > best[0]:
            best = score, name, parameters
    assert best is not None
    _, name, parameters = best
    model = getattr(recommenders, name)(matrix(data.x), **parameters).learn()
    evaluation = nf.evaluate(Peer(model, data), test, [METRIC], name="irspack")
    record = {"seconds": time.perf_counter() - started, "winner": name, "families": families}
    return evaluation, record


def measure(name: str, minutes: float) -> dict[str, Any]:
    """Return the record of both libraries on one data set."""
    split = read(name)[0]
    data = without_test_users(split)
    nearfar, nearfar_record, held_out = run_autopilot(data, split.test, minutes)
    irspack, irspack_record = run_irspack(data, held_out, split.test, minutes)
    return {
        "minutes": minutes,
        "users": data.n_users,
        "items": data.n_items,
        "test_users": nearfar.n_users,
        "nearfar": {"test": nearfar.to_dict()["metrics"][str(METRIC)], **nearfar_record},
        "irspack": {"test": irspack.to_dict()["metrics"][str(METRIC)], **irspack_record},
        "nearfar minus irspack": compare(irspack, nearfar, METRIC).to_dict(),
        "irspack version": version("irspack"),
        "provenance": provenance(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", action="append", choices=DATA)
    parser.add_argument("--minutes", type=float, default=4.0, help="minutes of search per library")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    records = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for name in arguments.data or DATA:
        records[name] = measure(name, arguments.minutes)
        write_json(arguments.out, records)
        nearfar, irspack = records[name]["nearfar"], records[name]["irspack"]
        gain = records[name]["nearfar minus irspack"]
        print(
            f"{name}: nearfar {nearfar['winner']} {nearfar['test']['mean']:.4f}, "
            f"irspack {irspack['winner']} {irspack['test']['mean']:.4f}; "
            f"difference {gain['difference']:+.4f} (p {gain['p']:.3f})"
        )


if __name__ == "__main__":
    main()
