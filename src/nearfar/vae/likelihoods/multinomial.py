"""The exact multinomial likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from nearfar.core.ranges import NonNegativeFloat
from nearfar.vae.likelihoods.likelihood import Catalogue, Likelihood
from nearfar.vae.terms.reconstruction import reconstruction
from nearfar.vae.terms.soft_reconstruction import SoftReconstruction
from nearfar.vae.terms.term import Term


@dataclass(frozen=True)
class Multinomial(Likelihood):
    """The multinomial likelihood over the whole catalogue (Eq. 1), with or without soft targets.

    Source: Liang et al. 2018; the soft targets follow the public code of Li et al. 2021
    (Sinkhorn CF), where an unobserved item's target is the same alpha for all users.
    Differs: alpha is not a setting. It follows from `background` for each user, so that one
    value is good for catalogues and histories of different sizes.

    Args:
        background: the targets of all items that a user has not interacted with, together, as a
            share of those that the user has: alpha (I - N) / N. 0 for Eq. 1 as published.
    """

    ADDED: ClassVar[Mapping[str, Any]] = {"background": 0.0}

    background: NonNegativeFloat = 0.0

    def term(self, catalogue: Catalogue) -> Term:
        return SoftReconstruction(self.background) if self.background else reconstruction
