"""Measure whether a user's help comes from near or from far users."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from nearfar.theory.collaboration import Collaboration, collaboration, jaccard_distance
from nearfar.theory.far_but_related import far_but_related
from nearfar.theory.gradients import gradient_products
from nearfar.theory.instrument import Curve, Instrument, Measured, Number
from nearfar.theory.masking import pairwise_overlap
from nearfar.theory.subject import Subject


@dataclass(frozen=True)
class LocalAndGlobal(Instrument):
    """Measure the shares of first-order help by distance of histories.

    Args:
        near_share: share of the other users that counts as near.
        n_users: most users of the sample to measure.
        n_draws: latents per user, an even number.
    """

    title = "Local and global collaboration"
    source = "section 2; Theorem 2.3"

    near_share: float = 0.1
    n_users: int = 300
    n_draws: int = 8

    def read(self, subject: Subject) -> Measured:
        users = np.arange(min(self.n_users, subject.n_users))
        histories, decoder = subject.histories[users], subject.network.decoder
        z = subject.latents(users, self.n_draws, "collaboration").to(decoder.out.weight)
        x = torch.from_numpy(histories.toarray()).to(z)
        products = gradient_products(decoder, z, x, subject.loss).cpu().numpy()
        n_different, n_shared = pairwise_overlap(histories)
        distance, unlikeness = n_different.astype(float), jaccard_distance(n_different, n_shared)
        by_items = collaboration(products, distance, self.near_share)
        by_taste = collaboration(products, unlikeness, self.near_share)
        far = far_but_related(products, distance, unlikeness, self.near_share)
        local = _share("local", "help from near users, by ||x_u - x_v||_1", by_items.local)
        taste = _share("local_taste", "help from near users, by Jaccard distance", by_taste.local)
        related = _share("related", "help from far but related users", far.help_share)
        by_chance = float(far.user_share.mean())
        return Measured(
            meaning=f"The nearest {100 * self.near_share:.0f} % of users give "
            f"{100 * taste.value:.0f} % of the help if near means alike in taste, and "
            f"{100 * local.value:.0f} % if it means few items apart; {100 * related.value:.0f} % "
            f"comes from users who are far by items yet alike in taste, {100 * by_chance:.0f} % of "
            "the others."
            if math.isfinite(local.value)
            else "No step on one user helps another, to first order.",
            numbers=(
                local,
                taste,
                related,
                Number("related_users", "far but related, of the others", by_chance, "share"),
                _share("harm", "harm in all that others' steps do", by_items.harm),
            ),
            curves=(
                _curve("few items apart, ||x_u - x_v||_1", by_items),
                _curve("alike in taste, Jaccard distance", by_taste),
            ),
            notes=(
                f"Of {len(users)} users of the sample; without any preference the near ones would "
                f"give {100 * self.near_share:.0f} %.",
                f"Far but related: not of the nearest {100 * self.near_share:.0f} % by "
                "||x_u - x_v||_1, but of those by Jaccard distance.",
                "By ||x_u - x_v||_1, users of few items are near to all, and their steps are "
                "small.",
            ),
        )

    def work(self, subject: Subject) -> float:
        n = min(self.n_users, subject.n_users) * self.n_draws
        ranks = 3 * 500.0 * min(self.n_users, subject.n_users) ** 2
        return ranks + 4.0 * n * n * subject.model.n_items + 6.0 * n * subject.n_decoder


def _share(key: str, label: str, values: np.ndarray) -> Number:
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return Number(key, label, math.nan, "share")
    error = float(values.std(ddof=1) / math.sqrt(len(values)))
    return Number(key, label, float(values.mean()), "share", error)


def _curve(name: str, measured: Collaboration) -> Curve:
    tenths = len(measured.by_distance)
    return Curve(
        "Where does help come from?", name, "tenth of the others, nearest first",
        "share of the help", tuple(map(float, range(1, tenths + 1))),
        tuple(map(float, measured.by_distance)),
    )  # fmt: skip
