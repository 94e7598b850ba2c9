"""What the KL pays for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nearfar.theory.finding import Curve, Number
from nearfar.theory.instrument import Instrument, Measured
from nearfar.theory.mutual_information import KLDecomposition, decompose_kl, masked_posterior
from nearfar.theory.reconstruction_gap import mean_transport_bound
from nearfar.theory.subject import Subject

PARTS = ("E KL", "I,\nat least", "I,\nat most", "mismatch,\nat most")


@dataclass(frozen=True)
class KLParts(Instrument):
    """E KL = I(X; Z) + KL(qbar || p), of clean histories and of those that training shows.

    Args:
        n_users: no more than so many users of the sample.
    """

    title = "Information and mismatch in the KL"
    source = "Eq. 5-7"

    n_users: int = 2000

    def read(self, subject: Subject) -> Measured:
        users = np.arange(min(self.n_users, subject.n_users))
        clean = decompose_kl(subject.part(users)[0], rng=subject.generator("information"))
        rng = subject.generator("information", "masks")
        if subject.model.device.type != "cpu":  # masks are drawn where the model is
            rng = type(rng)(subject.model.device).manual_seed(rng.initial_seed())
        shown = masked_posterior(subject.network, subject.rows(users), rng)
        masked = decompose_kl(shown, rng=subject.generator("information", "masked"))
        low, high = (min(end, max(clean.kl, 0.0)) for end in clean.information_interval())
        return Measured(
            curves=(_parts(masked),),
            meaning=f"Of {clean.kl:.1f} nats per user, between {low:.1f} and {high:.1f} tell users "
            f"apart; the rest is an aggregate unlike the prior. With inputs as in training the KL "
            f"is {masked.kl:.1f} nats.",
            numbers=(*_numbers("clean", "clean", clean), *_numbers("shown", "as trained", masked)),
            notes=(
                f"Of {len(users)} users: what tells them apart is at most log {len(users)} = "
                f"{np.log(len(users)):.1f} nats in the lower estimate, which is a lower bound.",
                "The prior is taken for N(0, I), whatever the model was trained with.",
            ),
        )

    def work(self, subject: Subject) -> float:
        n = min(self.n_users, subject.n_users)
        return 4.0 * n * n * subject.network.n_latent * 2


def _numbers(key: str, name: str, found: KLDecomposition) -> tuple[Number, ...]:
    return (
        Number(f"{key}_kl", f"E KL, {name}", found.kl, "nats", found.kl_error),
        Number(f"{key}_low", f"I, {name}, at least", found.information_low, "nats",
               found.information_low_error),
        Number(f"{key}_high", f"I, {name}, at most", min(found.information_high, found.kl), "nats",
               found.information_high_error),
        Number(f"{key}_mismatch", f"KL(qbar || p), {name}, at most", found.mismatch_high, "nats"),
        Number(f"{key}_bound", f"E W1, {name}, at most", mean_transport_bound(max(found.kl, 0)),
               "latent units"),
    )  # fmt: skip


def _parts(found: KLDecomposition) -> Curve:
    values = (
        found.kl, found.information_low, min(found.information_high, found.kl), found.mismatch_high
    )  # fmt: skip
    return Curve(
        "What the KL pays for", "", "with inputs as in training", "nats per user",
        tuple(map(float, range(len(PARTS)))), values, "bars", PARTS,
    )  # fmt: skip
