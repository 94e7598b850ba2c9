"""Measure the reconstruction cost of overlapping posteriors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from nearfar.evaluation.text import percent
from nearfar.theory.instrument import Curve, Instrument, Measured, Number
from nearfar.theory.reconstruction_gap import jensen_gap, reconstruction_gap, transport_bound
from nearfar.theory.subject import Subject
from nearfar.theory.tenths import course
from nearfar.theory.transport import w2


@dataclass(frozen=True)
class OverlapCost(Instrument):
    """Measure the gap G of random pairs, and the bound on W1 from the KL.

    Args:
        n_pairs: number of random pairs of users.
        n_samples: latents drawn from each posterior.
    """

    title = "The price of overlap"
    source = "Theorem 2.5"

    n_pairs: int = 1000
    n_samples: int = 8

    def read(self, subject: Subject) -> Measured:
        u, v = subject.pairs(self.n_pairs)
        (q_u, x_u), (q_v, x_v) = subject.part(u), subject.part(v)
        gap = reconstruction_gap(
            q_u, q_v, x_u, x_v, n_samples=self.n_samples, rng=subject.generator("gap")
        )
        n_u, n_v = (torch.from_numpy(np.diff(x.indptr)).double() for x in (x_u, x_v))
        shared = torch.from_numpy(np.asarray(x_u.multiply(x_v).sum(1)).ravel()).double()
        most = 2 * jensen_gap(torch.full_like(n_u, 0.5), n_u, n_v, shared)
        share = float(gap.nats.sum() / most.sum()) if most.sum() > 0 else math.nan
        kl = [0.5 * (q.mu.square() + q.variance - 1 - q.logvar).double().sum(1) for q in (q_u, q_v)]
        bound = transport_bound(kl[0], kl[1])
        distance = w2(q_u, q_v)
        apart, cost = course(distance, gap.nats.numpy())
        mean = float(gap.nats.mean())
        return Measured(
            meaning=_meaning(mean, share, float(bound.mean()), float(distance.mean())),
            numbers=(
                Number("gap", "G, mean of pairs", mean, "nats",
                       float(gap.nats.std()) / math.sqrt(self.n_pairs)),
                Number("share", "of what equal posteriors would cost", share, "share"),
                Number("bound", "W1 by the KL, at most", float(bound.mean()), "latent units"),
                Number("w2", "W2, which is at least W1", float(distance.mean()), "latent units"),
            ),
            curves=(
                Curve("What overlap costs", "", "W2, tenths of the pairs",
                      "G, nats per interaction", apart, cost),
            ),
            notes=("The bound on W1 is by the KL to N(0, I), and holds for any prior.",),
        )  # fmt: skip

    def work(self, subject: Subject) -> float:
        return 40.0 * self.n_pairs * self.n_samples * subject.network.n_latent


def _meaning(mean: float, share: float, bound: float, distance: float) -> str:
    cost = f"Overlap costs a random pair {mean:.2g} nats per interaction"
    if math.isfinite(share):
        cost += f", {percent(share)} of what it would if both had one posterior"
    if distance <= 0:
        return f"{cost}; all posteriors are the same."
    return (
        f"{cost}; the KL to N(0, I) would let users be {bound / distance:.1f} times as far "
        "apart as they are."
    )
