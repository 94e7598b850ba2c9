"""Measure whether the sharing radius predicts the effect of a step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from nearfar.theory.collaboration import jaccard_distance
from nearfar.theory.far_but_related import related_and_not
from nearfar.theory.gradients import gradient_products
from nearfar.theory.instrument import Curve, Instrument, Measured, Number
from nearfar.theory.masking import pairwise_overlap
from nearfar.theory.sharing import sharing_graph
from nearfar.theory.step_effect import discrimination, step_effects
from nearfar.theory.subject import Subject
from nearfar.theory.tenths import course
from nearfar.theory.transport import pairwise_distance


@dataclass(frozen=True)
class Steps(Instrument):
    """Take SGD steps of the decoder on each user v, and measure whose loss they lower.

    Args:
        n_draws: latents per user, an even number.
        n_pairs: pairs of latents that L is estimated from.
        share: fraction of v's own loss that a step removes, to first order.
        near_share: share of the others that counts as near, and as related.
    """

    title = "Steps on one user, and the loss of others"
    source = "Theorem 2.3"

    n_draws: int = 8
    n_pairs: int = 32
    share: float = 0.01
    near_share: float = 0.1

    def read(self, subject: Subject) -> Measured:
        users, loss, decoder = subject.sharing_users, subject.loss, subject.network.decoder
        histories = subject.histories[users]
        z = subject.latents(users, self.n_draws, "steps").to(decoder.out.weight)
        x = torch.from_numpy(histories.toarray()).to(z)
        graph = sharing_graph(
            decoder, z, histories,
            least_distance=pairwise_distance(subject.centres[users]),
            most_distance=pairwise_distance(subject.points[users]),
            rng=subject.generator("steps", "pairs"), n_pairs=self.n_pairs, loss=loss,
        )  # fmt: skip
        lowered = step_effects(decoder, z, x, self.share, loss) < 0
        predicted = gradient_products(decoder, z, x, loss).cpu().numpy() > 0
        others = ~np.eye(len(users), dtype=bool)
        n_different, n_shared = pairwise_overlap(histories)
        related, unrelated = related_and_not(
            n_different.astype(float), jaccard_distance(n_different, n_shared), self.near_share
        )
        within, helped, w2 = graph.maybe_within, lowered[others], graph.most_distance[others]
        margin = np.where(np.isfinite(graph.radius), graph.radius, 0) - graph.most_distance
        nearness = discrimination(-w2, helped)
        by_margin = discrimination(margin[others], helped)
        middle, by_help = course(w2, helped)
        all_pairs = _share("lowered", "pairs whose loss a step lowers", lowered, others)
        return Measured(
            meaning=f"A step on one user lowers the loss of {100 * all_pairs.value:.0f} % of the "
            f"others; {100 * float(within[others].mean()):.1f} % of pairs are within the sharing "
            "radius."
            + (
                f" Of a pair that it helps and one that it does not, the helped one is nearer by "
                f"W2 in {100 * nearness:.0f} % of cases, and deeper within the radius in "
                f"{100 * by_margin:.0f} % (50 % is chance)."
                if math.isfinite(nearness)
                else ""
            ),
            numbers=(
                all_pairs,
                Number("within", "pairs within the radius, at most",
                       float(within[others].mean()), "share"),
                _share("inside", "of these, lowered", lowered, within),
                _share("outside", "of pairs outside, lowered", lowered, others & ~within),
                _share("related", "of far but related pairs, lowered", lowered, related),
                _share("unrelated", "of the pairs least alike, lowered", lowered, unrelated),
                Number("auc", "helped pair nearer by W2, of two pairs", nearness, "share"),
                Number("auc_margin", "helped pair deeper within r, of two pairs", by_margin,
                       "share"),
                Number("agrees", "pairs where the first order tells the sign",
                       float((predicted == lowered)[others].mean()), "share"),
            ),
            curves=(
                Curve("Whose loss does a step lower?", "", "W2, tenths of all pairs",
                      "share of pairs", middle, by_help),
            ),
            notes=(
                f"Of {len(users)} users: a step of SGD on v of the decoder, so long that v's own "
                f"loss falls by {100 * self.share:g} % to first order; u's loss before and after. "
                "Intervals are over the users on whom steps are taken.",
                f"Losses are means of {self.n_draws} draws per user, independent of other users'.",
                *subject.flow_notes,
            ),
        )  # fmt: skip

    def work(self, subject: Subject) -> float:
        n = len(subject.sharing_users)
        return 4.0 * n * n * self.n_draws * subject.n_decoder


def _share(key: str, label: str, lowered: np.ndarray, weights: np.ndarray) -> Number:
    """Return the weighted mean over pairs, and its standard error over the columns, the steps."""
    totals = weights.sum(0)
    taken = totals > 0
    if not taken.any():
        return Number(key, label, math.nan, "share")
    hits = (lowered * weights).sum(0)[taken]
    value = float(hits.sum() / totals[taken].sum())
    n = int(taken.sum())
    residuals = hits - value * totals[taken]
    error = float(np.sqrt(np.square(residuals).sum() * n / max(n - 1, 1)) / totals[taken].sum())
    return Number(key, label, value, "share", error if n > 1 else None)
