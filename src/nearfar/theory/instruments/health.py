"""Measure which latent dimensions are in use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nearfar.theory.health import latent_health
from nearfar.theory.instrument import Curve, Instrument, Measured, Number
from nearfar.theory.subject import Subject


@dataclass(frozen=True)
class HealthInstrument(Instrument):
    """Measure the KL per dimension, active units and collapsed dimensions."""

    title = "Latent dimensions in use"
    source = "Eq. 5-7; Burda et al. 2016 for active units"

    def read(self, subject: Subject) -> Measured:
        health = latent_health(subject.posterior)
        n_latent = len(health.kl)
        kl = np.sort(health.kl)[::-1]
        total = float(kl.sum())
        half = int(np.searchsorted(np.cumsum(kl), total / 2)) + 1
        return Measured(
            meaning=f"{n_latent - health.n_collapsed} of {n_latent} dimensions tell something of "
            f"the user; {half} of them carry half of a user's KL to N(0, I), {total:.1f} nats.",
            numbers=(
                Number("kl", "KL to N(0, I), per user", total, "nats"),
                Number("active", "active units, Var mu > .01", health.n_active, "dimensions"),
                Number("collapsed", "collapsed, below .01 nats", health.n_collapsed, "dimensions"),
                Number("half", "dimensions with half of the KL", half, "dimensions"),
                Number("information", "information, at most, all dimensions",
                       float(health.information.sum()), "nats"),
            ),
            curves=(
                Curve("KL of each dimension", "", "dimension, by rank", "nats per user",
                      tuple(map(float, range(1, n_latent + 1))), tuple(map(float, kl))),
            ),
        )  # fmt: skip

    def work(self, subject: Subject) -> float:
        return 100.0 * subject.n_users * subject.network.n_latent
