"""The autopilot against irspack's search, at equal minutes and on the same users.

    python -m benchmarks.autopilot --data lastfm --data magazine --minutes 4

irspack 0.5.2 has no `autopilot` over several recommenders; it tunes one at a time
(`Recommender.tune` with a timeout, by Optuna). Its families here are IALS, EDLAE and RP3beta, each
with an equal part of the minutes. Both sides choose by the NDCG@100 of the same validation users,
fit the winner again on all users but the test users, and are measured on these, once.
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
    """A recommender of irspack as evaluation takes it.

    Args:
        model: fitted.
        train: what it was fitted on.
    """

    def __init__(self, model: Any, train: Interactions) -> None:
        self.model = model
        self.popularity = train.item_counts
        self.n_train_users = train.n_users

    def top_k(self, histories: Any, k: int, *, exclude_seen: bool = True) -> Ranking:
        """The best k items of each history that are not in it."""
        scores = np.array(self.model.get_score_cold_user(scipy.sparse.csr_matrix(histories)))
        rows = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
        scores[rows, histories.indices] = -np.inf
        k = min(k, scores.shape[1])
        items = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        values = np.take_along_axis(scores, items, 1)
        items[~np.isfinite(values)] = -1
        return Ranking(items.astype(np.int64), values.astype(np.float32))


def joined(split: nf.Split) -> Interactions:
    """All users but the test users, each with all items."""
    train, held = split.train, split.validation
    whole = held.fold_in.x + held.held_out.x
    x = scipy.sparse.vstack([train.x, whole], format="csr")
    ids = nf.Vocabulary(pl.concat([train.user_ids.ids, held.fold_in.user_ids.ids]))
    return Interactions(scipy.sparse.csr_array(x), ids, train.item_ids)


def ours(data: Interactions, test: FoldIn, minutes: float) -> tuple[Evaluation, dict, Any]:
    """The autopilot's bundle on the test users, what it says of itself, and its held-out users."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "best"
        started = time.perf_counter()
        found = nf.autopilot(data, out, nf.AutopilotOptions(minutes=minutes), say=print)
        seconds = time.perf_counter() - started
        bundle = nf.load_bundle(out)
        measured = nf.evaluate(bundle.model, test, [METRIC], name="nearfar autopilot")
    assert found.leaderboard is not None
    about = {
        "seconds": seconds,
        "winner": found.leaderboard.winner.family.name,
        "validation": found.leaderboard.winner.trial.score,
        "settings": found.leaderboard.winner.trial.values,
        "n_trials": found.n_trials,
        "verdict": found.leaderboard.verdict(),
        "left_out": found.leaderboard.left_out,
    }
    return measured, about, found.held_out


def theirs(
    data: Interactions, held_out: Any, test: FoldIn, minutes: float
) -> tuple[Evaluation, dict]:
    """The best recommender of irspack on the test users, and what was found on the way."""
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
    found: dict[str, dict[str, Any]] = {}
    best: tuple[float, str, dict[str, Any]] | None = None
    for name in PEERS:
        peer = getattr(recommenders, name)
        parameters, trials = peer.tune(
            matrix(held_out.train.x), evaluator, n_trials=10_000,
            timeout=int(60 * minutes / len(PEERS)), tuning_random_seed=0, logger=logger,
        )  # fmt: skip
        model = peer(matrix(held_out.train.x), **parameters).learn()
        score = nf.evaluate(Peer(model, held_out.train), held_out.validation, [METRIC]).mean(METRIC)
        found[name] = {"validation": score, "n_trials": len(trials), "settings": parameters}
        print(name, found[name], flush=True)
        if best is None or score > best[0]:
            best = score, name, parameters
    assert best is not None
    _, name, parameters = best
    model = getattr(recommenders, name)(matrix(data.x), **parameters).learn()
    measured = nf.evaluate(Peer(model, data), test, [METRIC], name="irspack")
    about = {"seconds": time.perf_counter() - started, "winner": name, "families": found}
    return measured, about


def measure(name: str, minutes: float) -> dict[str, Any]:
    """Both sides on one data set."""
    split = read(name)[0]
    data = joined(split)
    own, about_own, held_out = ours(data, split.test, minutes)
    peer, about_peer = theirs(data, held_out, split.test, minutes)
    return {
        "minutes": minutes,
        "users": data.n_users,
        "items": data.n_items,
        "test_users": own.n_users,
        "nearfar": {"test": own.to_dict()["metrics"][str(METRIC)], **about_own},
        "irspack": {"test": peer.to_dict()["metrics"][str(METRIC)], **about_peer},
        "nearfar minus irspack": compare(peer, own, METRIC).to_dict(),
        "irspack version": version("irspack"),
        "provenance": provenance(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", action="append", choices=DATA)
    parser.add_argument("--minutes", type=float, default=4.0, help="of search, a side")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    found = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for name in arguments.data or DATA:
        found[name] = measure(name, arguments.minutes)
        write_json(arguments.out, found)
        own, peer = found[name]["nearfar"], found[name]["irspack"]
        gain = found[name]["nearfar minus irspack"]
        print(
            f"{name}: nearfar {own['winner']} {own['test']['mean']:.4f}, irspack {peer['winner']} "
            f"{peer['test']['mean']:.4f}; difference {gain['difference']:+.4f} (p {gain['p']:.3f})"
        )


if __name__ == "__main__":
    main()
