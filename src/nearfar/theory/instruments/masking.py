"""Measure how masks change the distance of two histories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nearfar.theory.instrument import Curve, Instrument, Measured, Number
from nearfar.theory.masking import MaskedDistance, pairwise_overlap
from nearfar.theory.subject import Subject

RATES = tuple(round(0.1 * i, 1) for i in range(1, 10))


@dataclass(frozen=True)
class Masking(Instrument):
    """Measure contraction and expansion of random pairs under independent masks, without a model.

    Args:
        n_pairs: number of random pairs of users.
    """

    title = "Masked distance of histories"
    source = "Theorem 2.6"

    n_pairs: int = 100

    def read(self, subject: Subject) -> Measured:
        u, v = subject.pairs(self.n_pairs)
        pairs = [
            tuple(int(part[0, 0]) for part in pairwise_overlap(subject.histories[[a]],
                                                              subject.histories[[b]]))
            for a, b in zip(u, v, strict=True)
        ]  # fmt: skip
        rates = sorted({*RATES, subject.keep_prob})
        nearer, further, nearer_bound, further_bound = (
            np.zeros((len(rates), len(pairs))) for _ in range(4)
        )
        for i, rho in enumerate(rates):
            for j, (d, m) in enumerate(pairs):
                masked_distance = MaskedDistance(d, m, rho)
                nearer[i, j], further[i, j] = (
                    masked_distance.contraction(1),
                    masked_distance.expansion(1),
                )
                nearer_bound[i, j] = masked_distance.contraction_bound(1)
                further_bound[i, j] = masked_distance.expansion_bound(1)
        row = rates.index(subject.keep_prob)
        p_nearer, p_further = float(nearer[row].mean()), float(further[row].mean())
        rng = subject.rng("masking")
        first, second = rng.choice(subject.n_masks, 2, replace=False)
        measured = [
            int(pairwise_overlap(subject.masked_histories[first][[a]],
                                 subject.masked_histories[second][[b]])[0][0, 0])
            for a, b in zip(u, v, strict=True)
        ]  # fmt: skip
        d_mean = float(np.mean([d for d, _ in pairs]))
        x = tuple(rates)
        return Measured(
            meaning=f"With {100 * subject.keep_prob:.0f} % of items kept, a random pair of "
            f"histories comes nearer with probability {p_nearer:.2f} and further apart "
            f"with {p_further:.3f}: {_verdict(p_nearer, p_further)}.",
            numbers=(
                Number("distance", "||x_u - x_v||_1, mean", d_mean, "items"),
                Number("shared", "shared items, mean",
                       float(np.mean([m for _, m in pairs])), "items"),
                Number("expected", "masked distance, expected",
                       float(np.mean([MaskedDistance(d, m, subject.keep_prob).mean
                                      for d, m in pairs])), "items"),
                Number("measured", "masked distance, one draw", float(np.mean(measured)), "items"),
                Number("nearer", "P(nearer)", p_nearer),
                Number("nearer_bound", "P(nearer) by the theorem's bound, at least",
                       float(nearer_bound[row].mean())),
                Number("further", "P(further apart)", p_further),
                Number("further_bound", "P(further apart) by its bound, at least",
                       float(further_bound[row].mean())),
            ),
            curves=tuple(
                Curve("What masks do to a random pair", name, "keep_prob", "probability", x,
                      tuple(map(float, values.mean(1))))
                for name, values in (
                    ("P(nearer)", nearer), ("P(nearer), bound", nearer_bound),
                    ("P(further apart)", further), ("P(further apart), bound", further_bound),
                )
            ),
            notes=("Of the histories alone: the same for all models of these users.",),
        )  # fmt: skip

    def work(self, subject: Subject) -> float:
        mean = subject.histories.nnz / subject.n_users
        return 1.5e6 * self.n_pairs * len(RATES) + self.n_pairs * len(RATES) * mean**2


def _verdict(nearer: float, further: float) -> str:
    """Describe which of the two probabilities is larger."""
    if nearer > further:
        return "masks bring users nearer" + (" almost always" if nearer > 0.95 else " more often")
    if nearer < further:
        return "masks drive users apart more often"
    return "masks do both alike"
