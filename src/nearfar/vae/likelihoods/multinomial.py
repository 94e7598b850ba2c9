"""The exact multinomial likelihood, with or without soft targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from nearfar.core.ranges import NonNegativeFloat
from nearfar.kernels.background import Background
from nearfar.kernels.rows import Rows
from nearfar.vae.likelihoods.likelihood import Likelihood, TrainingCounts
from nearfar.vae.step import Step, Term


@dataclass(frozen=True)
class Multinomial(Likelihood):
    """The multinomial likelihood over the whole catalogue (Eq. 1), with or without soft targets.

    Source: Liang et al. 2018; the soft targets follow the public code of Li et al. 2021
    (Sinkhorn CF), where an unobserved item's target is the same alpha for all users.
    Differs: alpha is not a setting. It is computed for each user from `background`, so that one
    value suits catalogues and histories of different sizes.

    Args:
        background: total target of the items that a user has not interacted with, relative to that
            of the user's items: alpha (I - N) / N. 0 is Eq. 1 as published.

    Examples:
        >>> nf.MultVAE(likelihood=nf.likelihoods.Multinomial()).likelihood
        Multinomial(background=0.0)
    """

    ADDED: ClassVar[Mapping[str, Any]] = {"background": 0.0}

    background: NonNegativeFloat = 0.0

    def term(self, catalogue: TrainingCounts) -> Term:
        return SoftReconstruction(self.background) if self.background else reconstruction


def reconstruction(step: Step, /) -> Float[Tensor, " users"]:
    """Return -log p(x|z) = -sum_i x_i log softmax(f(z))_i, in nats per user (Eq. 1).

    If interactions have weights, x_i is the weight of i, here and below.
    """
    return step.output.multinomial_nll(step.hidden, step.histories)


@dataclass(frozen=True)
class SoftReconstruction:
    """The term -sum_i t_i log softmax(f(z))_i in nats per user, t_i = 1 for i in S, else alpha.

    The total target of the items that a user has not interacted with is `share` times that of the
    user's items. With 0 it is Eq. 1.

    Notation: `share` = alpha (I - N) / N.
    """

    share: float

    def __call__(self, step: Step, /) -> Float[Tensor, " users"]:
        background = soft_targets(step.histories, self.share, step.hidden)
        return step.output.multinomial_nll(step.hidden, step.histories, background)


def soft_targets(rows: Rows, share: float, like: Tensor) -> Background:
    """Return each user's target alpha of the items outside of S.

    alpha is limited to 1, which matters if a user has interacted with a large part of the
    catalogue. It is 0 for a user with all items or none.

    Args:
        rows: the sets S, over the whole catalogue.
        share: alpha (I - N) / N.
        like: a tensor with the dtype and device of the result.
    """
    totals = rows.totals.to(like)
    others = rows.n_items - rows.counts.to(like)
    alpha = (share * totals / others.clamp(min=1)).clamp(max=1) * (others > 0)
    return Background(alpha, totals + alpha * others)
