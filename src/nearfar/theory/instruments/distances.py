"""How far apart posteriors are, within and across cohorts of activity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy import stats

from nearfar.theory.finding import Curve, Number
from nearfar.theory.instrument import Instrument, Measured
from nearfar.theory.masking import pairwise_overlap
from nearfar.theory.subject import Subject
from nearfar.theory.transport import pairwise_mean_distance, pairwise_w2

N_TENTHS = 10


@dataclass(frozen=True)
class Distances(Instrument):
    """W2 of pairs, and whether it follows the distance of their histories.

    Args:
        n_users: no more than so many users of the sample; all their pairs are looked at.
    """

    title = "Distances between users' posteriors"
    source = "Eq. 18; Lemma 2.4"

    n_users: int = 1000

    def read(self, subject: Subject) -> Measured:
        q, histories = subject.part(np.arange(min(self.n_users, subject.n_users)))
        upper = np.triu_indices(len(q.mu), 1)
        w2, means = pairwise_w2(q)[upper], pairwise_mean_distance(q)[upper]
        apart = pairwise_overlap(histories)[0][upper]
        groups = subject.groups[: len(q.mu)]
        within = groups[upper[0]] == groups[upper[1]]
        inside, across = _mean(w2[within]), _mean(w2[~within])
        rank = float(cast("Any", stats.spearmanr(apart, w2)).statistic)
        edges = np.quantile(apart, np.linspace(0, 1, N_TENTHS + 1))
        tenth = np.clip(np.searchsorted(edges, apart, side="right") - 1, 0, N_TENTHS - 1)
        course = tuple(_mean(w2[tenth == t]) / float(w2.mean()) for t in range(N_TENTHS))
        middle = tuple(_mean(apart[tenth == t]) for t in range(N_TENTHS))
        present = [t for t in range(N_TENTHS) if np.isfinite(middle[t])]
        return Measured(
            meaning=f"Users of different activity are {across / inside:.2f} times as far apart as "
            f"users of the same; between histories and posteriors, distance has a rank "
            f"correlation of {rank:.2f}.",
            numbers=(
                Number("w2", "W2, mean of pairs", float(w2.mean()), "latent units"),
                Number("within", "within cohorts of activity", inside, "latent units"),
                Number("across", "across cohorts", across, "latent units"),
                Number("ratio", "across / within", across / inside),
                Number("means", "share of W2^2 that is of the means",
                       float(np.square(means).sum() / np.square(w2).sum()), "share"),
                Number("rank", "rank correlation with ||x_u - x_v||_1", rank),
            ),
            curves=(
                Curve("Do near histories have near posteriors?", "",
                      "||x_u - x_v||_1 in items, tenths of all pairs", "W2 / mean W2",
                      tuple(middle[t] for t in present), tuple(course[t] for t in present)),
            ),
            notes=("W1 lies between the distance of the means and W2.",),
        )  # fmt: skip

    def work(self, subject: Subject) -> float:
        n = min(self.n_users, subject.n_users)
        return 300.0 * n * n + 2.0 * n * n * subject.network.n_latent


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
