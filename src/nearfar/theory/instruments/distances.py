"""How far apart posteriors are, within and across cohorts of activity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy import stats

from nearfar.theory.finding import Curve, Number
from nearfar.theory.instrument import Instrument, Measured
from nearfar.theory.masking import pairwise_overlap
from nearfar.theory.subject import Subject
from nearfar.theory.tenths import course
from nearfar.theory.transport import (
    mean_distance,
    pairwise_mean_distance,
    pairwise_w2,
    sampled_w1,
)
from nearfar.theory.transport import w2 as w2_of_pairs


@dataclass(frozen=True)
class Distances(Instrument):
    """W2 of pairs, and whether it follows the distance of their histories.

    Args:
        n_users: no more than so many users of the sample; all their pairs are looked at.
        n_transported: random pairs whose W1 is found by optimal transport.
        n_samples: latents of each user that are moved onto each other.
    """

    title = "Distances between users' posteriors"
    source = "Eq. 18; Lemma 2.4"

    n_users: int = 1000
    n_transported: int = 50
    n_samples: int = 128

    def read(self, subject: Subject) -> Measured:
        q, histories = subject.part(np.arange(min(self.n_users, subject.n_users)))
        upper = np.triu_indices(len(q.mu), 1)
        w2, means = pairwise_w2(q)[upper], pairwise_mean_distance(q)[upper]
        apart = pairwise_overlap(histories)[0][upper]
        groups = subject.groups[: len(q.mu)]
        within = groups[upper[0]] == groups[upper[1]]
        inside, across = _mean(w2[within]), _mean(w2[~within])
        ratio = across / inside if inside > 0 else math.nan
        (q_u, _), (q_v, _) = map(subject.part, subject.pairs(self.n_transported))
        transported = sampled_w1(q_u, q_v, self.n_samples, subject.seed)
        rank = _rank_correlation(apart, w2)
        items, latents = course(apart, w2)
        mean = float(w2.mean())
        return Measured(
            meaning=_meaning(ratio, rank),
            numbers=(
                Number("w2", "W2, mean of pairs", mean, "latent units"),
                Number("within", "within cohorts of activity", inside, "latent units"),
                Number("across", "across cohorts", across, "latent units"),
                Number("ratio", "across / within", ratio),
                Number("means", "share of W2^2 that is of the means",
                       float(np.square(means).sum() / np.square(w2).sum()) if mean else math.nan,
                       "share"),
                Number("w1_low", f"of {self.n_transported} pairs: distance of the means",
                       float(mean_distance(q_u, q_v).mean()), "latent units"),
                Number("w1", "of these: W1 by optimal transport", float(transported.mean()),
                       "latent units", _error(transported)),
                Number("w1_high", "of these: W2", float(w2_of_pairs(q_u, q_v).mean()),
                       "latent units"),
                Number("rank", "rank correlation with ||x_u - x_v||_1", rank),
            ),
            curves=(
                Curve("Do near histories have near posteriors?", "",
                      "||x_u - x_v||_1 in items, tenths of all pairs", "W2 / mean W2",
                      items, tuple(each / mean if mean else 0.0 for each in latents)),
            ),
            notes=(
                "W1 lies between the distance of the means and W2.",
                f"Optimal transport moves {self.n_samples} latents of one user onto as many of the "
                "other; on average it finds W1 or more, and W2 or less.",
            ),
        )  # fmt: skip

    def work(self, subject: Subject) -> float:
        n = min(self.n_users, subject.n_users)
        transport = 1.0 * self.n_transported * self.n_samples**2
        return (
            transport * (subject.network.n_latent + self.n_samples)
            + 300.0 * n * n
            + 2.0 * n * n * subject.network.n_latent
        )


def _meaning(ratio: float, rank: float) -> str:
    activity = (
        f"Users of different activity are {ratio:.2f} times as far apart as users of the same"
        if math.isfinite(ratio)
        else "Cohorts of activity cannot be compared here: pairs within one, pairs across two, or "
        "distances between them are missing"
    )
    order = (
        "between histories and posteriors, distance has a rank correlation of " + f"{rank:.2f}"
        if math.isfinite(rank)
        else "all histories, or all posteriors, are equally far apart"
    )
    return f"{activity}; {order}."


def _rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    return float(cast("Any", stats.spearmanr(x, y)).statistic)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))
