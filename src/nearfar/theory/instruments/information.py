"""Measure the two parts of the KL: information about the user, and mismatch with the prior."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from nearfar.theory.instrument import Curve, Instrument, Measured, Number
from nearfar.theory.mutual_information import KLDecomposition, decompose_kl
from nearfar.theory.reconstruction_gap import mean_transport_bound
from nearfar.theory.subject import Subject
from nearfar.vae.priors.normal import NormalNetwork

PARTS = ("E KL", "I,\nat least", "I,\nat most", "mismatch,\nat most")


@dataclass(frozen=True)
class KLParts(Instrument):
    """Measure E KL = I(X; Z) + KL(qbar || p), p the model's prior, for clean and training inputs.

    Args:
        n_users: most users of the sample to measure.
        n_draws: latents per user if the KL has no closed form.
    """

    title = "Information and mismatch in the KL"
    source = "Eq. 5-7"

    n_users: int = 2000
    n_draws: int = 4

    def read(self, subject: Subject) -> Measured:
        if not subject.gaussian:
            return self._behind_a_flow(subject)
        clean = self._parts(subject, corrupt=False)
        corrupted = self._parts(subject, corrupt=True)
        low, high = clean.information_interval()
        if not clean.knows_user:
            low, high = (min(end, max(clean.kl, 0.0)) for end in (low, high))
        summary = (
            f"between {low:.1f} and {high:.1f} nats tell users apart. With inputs as in training "
            f"the KL is {corrupted.kl:.1f} nats."
        )
        return Measured(
            curves=(_bars(corrupted),),
            meaning=f"The KL to each user's own prior is {clean.kl:.1f} nats; {summary}"
            if clean.knows_user
            else f"A user costs {clean.kl:.1f} nats of KL; "
            f"{summary.replace(' nats tell', ' tell', 1)} "
            "The rest is an aggregate unlike the prior.",
            numbers=(
                *_numbers("clean", "clean", clean),
                *_numbers("shown", "as trained", corrupted),
            ),
            notes=(
                f"Of {clean.n_users} users: what tells them apart is at most log {clean.n_users} = "
                f"{np.log(clean.n_users):.1f} nats in the lower estimate, which is a lower bound.",
                "The prior is the model's own; the bound of E W1 is by the KL to N(0, I), the "
                "constant of which is known, and holds for any prior.",
                *(_KNOWS_USER,) * clean.knows_user,
            ),
        )

    def work(self, subject: Subject) -> float:
        n = min(self.n_users, subject.n_users)
        return 4.0 * n * n * subject.network.n_latent * 2

    def _parts(self, subject: Subject, *, corrupt: bool) -> KLDecomposition:
        name = "masked" if corrupt else "clean"
        users, prior = np.arange(min(self.n_users, subject.n_users)), subject.prior
        if not corrupt and isinstance(prior, NormalNetwork):
            return decompose_kl(subject.part(users)[0], rng=subject.generator("information", name))
        step = subject.step(users, "information", "masks", corrupt=corrupt)
        rng = subject.generator("information", name)
        if isinstance(prior, NormalNetwork):
            return decompose_kl(step.posterior, rng=rng)
        with torch.no_grad():
            density = prior.density(step)
            return decompose_kl(
                step.posterior, rng=rng, n_draws=self.n_draws,
                log_prior=lambda z: density(z.to(step.z)), knows_user=prior.knows_user,
            )  # fmt: skip

    def _behind_a_flow(self, subject: Subject) -> Measured:
        """Measure the KL alone, by the encoder's draws."""
        users, prior = np.arange(min(self.n_users, subject.n_users)), subject.prior
        numbers = []
        for key, name, corrupt in (("clean", "clean", False), ("shown", "as trained", True)):
            with torch.no_grad():
                kl = torch.stack([
                    prior.kl(subject.step(users, "information", f"{key}-{n}", corrupt=corrupt))
                    for n in range(self.n_draws)
                ]).double().mean(0)  # fmt: skip
            error = float(kl.std() / math.sqrt(len(kl)))
            numbers.append(Number(f"{key}_kl", f"E KL, {name}", float(kl.mean()), "nats", error))
        return Measured(
            meaning=f"A user costs {numbers[0].value:.1f} nats of KL; how much of it tells users "
            "apart is not known: their posteriors have no density in closed form.",
            numbers=tuple(numbers),
            notes=(
                f"The KL is of {self.n_draws} draws of {len(users)} users, against the model's own "
                "prior.",
            ),
        )


_KNOWS_USER = (
    "The prior knows the user's history (a composite one holds the old posterior): its KL bounds "
    "no information, and nothing of it is a mismatch of the aggregate."
)


def _numbers(key: str, name: str, parts: KLDecomposition) -> tuple[Number, ...]:
    most = parts.standard_kl if parts.knows_user else parts.kl
    return (
        Number(f"{key}_kl", f"E KL, {name}", parts.kl, "nats", parts.kl_error),
        Number(f"{key}_low", f"I, {name}, at least", parts.information_low, "nats",
               parts.information_low_error),
        Number(f"{key}_high", f"I, {name}, at most", min(parts.information_high, most), "nats",
               parts.information_high_error),
        Number(f"{key}_mismatch_low", f"KL(qbar || p), {name}, at least",
               max(parts.mismatch_low, 0.0) if not parts.knows_user else math.nan, "nats"),
        Number(f"{key}_mismatch", f"KL(qbar || p), {name}, at most", parts.mismatch_high, "nats"),
        Number(f"{key}_standard", f"E KL to N(0, I), {name}", parts.standard_kl, "nats"),
        Number(f"{key}_bound", f"E W1, {name}, at most",
               mean_transport_bound(max(parts.standard_kl, 0)), "latent units"),
    )  # fmt: skip


def _bars(parts: KLDecomposition) -> Curve:
    most = parts.standard_kl if parts.knows_user else parts.kl
    values = (
        parts.kl, parts.information_low, min(parts.information_high, most), parts.mismatch_high
    )  # fmt: skip
    return Curve(
        "What the KL pays for", "", "with inputs as in training", "nats per user",
        tuple(map(float, range(len(PARTS)))), values, "bars", PARTS,
    )  # fmt: skip
