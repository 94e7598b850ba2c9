"""Measure the Lipschitz constant of the encoder."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nearfar.core.errors import SettingsError
from nearfar.theory.encoder_lipschitz import lipschitz_upper_bound, steepest_pair
from nearfar.theory.instrument import Curve, Instrument, Measured, Number
from nearfar.theory.subject import Subject
from nearfar.theory.tenths import course


@dataclass(frozen=True)
class EncoderSlope(Instrument):
    """Measure L_phi from pairs and from layer norms, and how far one item moves a posterior.

    Args:
        n_users: most users of the sample to measure, with all their pairs.
    """

    title = "Near histories, near posteriors"
    source = "Lemma 2.4"

    n_users: int = 1000

    def read(self, subject: Subject) -> Measured:
        n = min(self.n_users, subject.n_users)
        steepest = steepest_pair(subject.points[:n], subject.histories[:n])
        notes = [
            "The slope from pairs is a lower bound of L_phi: other pairs may be steeper.",
            *subject.flow_notes,
        ]
        try:
            among = subject.part(np.arange(n))[0]
            bound = lipschitz_upper_bound(subject.network.encoder, among=among)
        except SettingsError as error:
            bound = float("nan")
            notes.append(f"No upper bound: {error}.")
        distances, n_hidden = _mask_moves(subject)
        by_items, by_distance = course(n_hidden, distances)
        moved, hidden = float(distances.mean()), float(n_hidden.mean())
        spread = float(subject.means.double().var(0, unbiased=False).sum() ** 0.5)
        return Measured(
            meaning=_meaning(1 - subject.keep_prob, moved, hidden, spread),
            numbers=(
                Number("slope", "L_phi from pairs, at least", steepest, "units per item"),
                Number("bound", "L_phi from layer norms, at most", bound, "units per item"),
                Number("moved", "W2 when items are hidden", moved, "latent units"),
                Number(
                    "per_item",
                    "the same per item",
                    moved / hidden if hidden else math.nan,
                    "units per item",
                ),
                Number("spread", "spread of the users' means", spread, "latent units"),
            ),
            curves=(
                Curve(
                    "How far do hidden items move a user?",
                    "",
                    "items hidden, tenths of users and masks",
                    "W2, latent units",
                    by_items,
                    by_distance,
                ),
            ),
            notes=tuple(notes),
        )

    def work(self, subject: Subject) -> float:
        n = min(self.n_users, subject.n_users)
        return 300.0 * n * n + subject.network.n_latent * n * n


def _meaning(share: float, moved: float, hidden: float, spread: float) -> str:
    if not hidden:
        return "The masks hid no item, so no posterior moves."
    of_spread = f" by {moved / spread:.2f} of the users' spread," if spread > 0 else ""
    return (
        f"To hide {100 * share:.3g} % of a history moves its posterior{of_spread} "
        f"{moved / hidden:.3g} latent units per item."
    )


def _mask_moves(subject: Subject) -> tuple[np.ndarray, np.ndarray]:
    """Return W2 from clean to masked posterior, and the number of hidden items, for each mask."""
    counts = np.diff(subject.histories.indptr)
    distances = [
        np.linalg.norm(subject.points - subject.points_of(masked), axis=1)
        for masked in subject.masked_histories
    ]
    hidden = [counts - np.diff(masked.indptr) for masked in subject.masked_histories]
    return np.concatenate(distances), np.concatenate(hidden)
