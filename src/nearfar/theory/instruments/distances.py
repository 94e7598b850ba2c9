"""Measure the distances of posteriors, within and across cohorts of activity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy import stats

from nearfar.theory.collaboration import jaccard_distance
from nearfar.theory.far_but_related import related_and_not
from nearfar.theory.instrument import Curve, Instrument, Measured, Number
from nearfar.theory.masking import pairwise_overlap
from nearfar.theory.subject import Subject
from nearfar.theory.tenths import course
from nearfar.theory.transport import empirical_w1, pairwise_distance, sampled_w1


@dataclass(frozen=True)
class Distances(Instrument):
    """Measure W2 of pairs, and its correlation with the distance of histories.

    Args:
        n_users: most users of the sample to measure, with all their pairs.
        n_transported: random pairs whose W1 is computed by optimal transport.
        n_samples: latents per user for optimal transport.
    """

    title = "Distances between users' posteriors"
    source = "Eq. 18; Lemma 2.4"

    n_users: int = 1000
    n_transported: int = 50
    n_samples: int = 128

    def read(self, subject: Subject) -> Measured:
        n = min(self.n_users, subject.n_users)
        points, centres, histories = subject.points[:n], subject.centres[:n], subject.histories[:n]
        upper = np.triu_indices(n, 1)
        all_w2 = pairwise_distance(points)
        w2, means = all_w2[upper], pairwise_distance(centres)[upper]
        n_different, n_shared = pairwise_overlap(histories)
        distance, unlikeness = n_different.astype(float), jaccard_distance(n_different, n_shared)
        related, unrelated = related_and_not(distance, unlikeness)
        distance = distance[upper]
        groups = subject.groups[:n]
        within = groups[upper[0]] == groups[upper[1]]
        inside, across = _mean(w2[within]), _mean(w2[~within])
        ratio = across / inside if inside > 0 else math.nan
        u, v = subject.pairs(self.n_transported)
        between = np.linalg.norm(subject.centres[u] - subject.centres[v], axis=1)
        most = np.linalg.norm(subject.points[u] - subject.points[v], axis=1)
        transported = _transport_distances(subject, u, v, self.n_samples)
        rank = _rank_correlation(distance, w2)
        items, latents = course(distance, w2)
        mean = float(w2.mean())
        return Measured(
            meaning=_meaning(ratio, rank),
            numbers=(
                Number("w2", "W2, mean of pairs", mean, "latent units"),
                Number("within", "within cohorts of activity", inside, "latent units"),
                Number("across", "across cohorts", across, "latent units"),
                Number("ratio", "across / within", ratio),
                Number("related", "of far but related users", _weighted(all_w2, related),
                       "latent units"),
                Number("unrelated", "of the users least alike in taste",
                       _weighted(all_w2, unrelated), "latent units"),
                Number("means", "share of W2^2 that is of the means",
                       float(np.square(means).sum() / np.square(w2).sum()) if mean else math.nan,
                       "share"),
                Number("w1_low", f"of {self.n_transported} pairs: distance of the means",
                       float(between.mean()), "latent units"),
                Number("w1", "of these: W1 by optimal transport", float(transported.mean()),
                       "latent units", _error(transported)),
                Number("w1_high", "of these: W2", float(most.mean()),
                       "latent units"),
                Number("rank", "rank correlation with ||x_u - x_v||_1", rank),
            ),
            curves=(
                Curve("Do near histories have near posteriors?", "",
                      "||x_u - x_v||_1 in items, tenths of all pairs", "W2 / mean W2",
                      items, tuple(value / mean if mean else 0.0 for value in latents)),
            ),
            notes=(
                "W1 lies between the distance of the means and W2.",
                f"Optimal transport moves {self.n_samples} latents of one user onto as many of the "
                "other; on average it finds W1 or more, and W2 or less.",
                "Far but related: not of the nearest tenth by ||x_u - x_v||_1, but of that by "
                "Jaccard distance; least alike: of the furthest tenth by Jaccard distance.",
                *subject.flow_notes,
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


def _transport_distances(
    subject: Subject, u: np.ndarray, v: np.ndarray, n_samples: int
) -> np.ndarray:
    """Estimate W1 of pairs by optimal transport between samples that share their noise."""
    if subject.gaussian:
        q_u, q_v = subject.part(u)[0], subject.part(v)[0]
        return sampled_w1(q_u, q_v, n_samples, subject.seed)
    first, second = (
        subject.shared_latents(subject.histories[rows], n_samples).double().numpy()
        for rows in (u, v)
    )
    return np.array([empirical_w1(a, b) for a, b in zip(first, second, strict=True)])


def _weighted(values: np.ndarray, weights: np.ndarray) -> float:
    total = weights.sum()
    return float((values * weights).sum() / total) if total else math.nan


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
