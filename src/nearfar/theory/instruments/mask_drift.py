"""Measure how masks move a user, and how they change the user's nearest neighbours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from nearfar.theory.instrument import Curve, Instrument, Measured, Number
from nearfar.theory.subject import Subject
from nearfar.vae.neighbours import nearest, overlap

K_VALUES = (1, 2, 5, 10, 20, 50)


@dataclass(frozen=True)
class MaskDrift(Instrument):
    """Measure the overlap of nearest neighbours between masks, and the variance across masks.

    Args:
        k: number of nearest neighbours.
    """

    title = "Neighbourhoods under masks"
    source = "section 2 and Theorem 2.6; Proposition 3.2 for the variance"

    k: int = 10

    def read(self, subject: Subject) -> Measured:
        k = min(self.k, subject.n_users // 2)
        clean = subject.means
        masked = subject.masked_means
        neighbours = nearest(clean, k)
        masked_neighbours = [nearest(mu, k) for mu in masked]
        from_clean = torch.stack([overlap(neighbours, m) for m in masked_neighbours]).mean(0)
        between = torch.stack([overlap(a, b) for a, b in pairwise(masked_neighbours)]).mean(0)
        chance = k / (subject.n_users - 1)
        means = torch.stack([mu.double() for mu in masked], 1)
        across = means.var(1, unbiased=True).sum(1)
        population = float(clean.double().var(0, unbiased=True).sum()) or math.nan
        k_values = [n for n in K_VALUES if n <= subject.n_users // 2]
        values = [float(overlap(nearest(clean, n), nearest(masked[0], n)).mean()) for n in k_values]
        return Measured(
            meaning=f"With half of the history hidden a user keeps {100 * from_clean.mean():.0f} % "
            f"of {k} nearest neighbours (chance {100 * chance:.1f} %)."
            if subject.keep_prob == 0.5
            else f"With {100 * subject.keep_prob:.0f} % of items kept a user keeps "
            f"{100 * from_clean.mean():.0f} % of {k} nearest neighbours (chance "
            f"{100 * chance:.1f} %).",
            numbers=(
                _share("clean", f"of {k} neighbours, kept under a mask", from_clean),
                _share("between", f"of {k} neighbours, kept between two masks", between),
                Number("chance", "by chance", chance, "share"),
                _share("variance", "variance across masks / between users", across / population),
            ),
            curves=(
                Curve("Neighbours kept under a mask", "", "k nearest neighbours",
                      "share kept", tuple(map(float, k_values)), tuple(values)),
            ),
            notes=(
                f"{subject.n_masks} masks per user, {100 * subject.keep_prob:.0f} % of items kept, "
                "the same for all models.",
            ),
        )  # fmt: skip

    def work(self, subject: Subject) -> float:
        n, spaces = subject.n_users, 1 + subject.n_masks + 2 * len(K_VALUES)
        named = subject.network.encoder.named_parameters()
        encode = 2.0 * n * sum(p.numel() for name, p in named if not name.startswith("first"))
        return spaces * (n * n * (subject.network.n_latent + 50) + encode)


def _share(key: str, label: str, values: torch.Tensor) -> Number:
    shares = values.double().cpu().numpy()
    error = float(np.std(shares, ddof=1) / math.sqrt(len(shares)))
    return Number(key, label, float(shares.mean()), "share", error)
