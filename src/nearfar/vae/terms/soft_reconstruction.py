"""The multinomial reconstruction term with soft targets."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from nearfar.kernels.background import Background
from nearfar.kernels.rows import Rows
from nearfar.vae.terms.term import Step


@dataclass(frozen=True)
class SoftReconstruction:
    """-sum_i t_i log softmax(f(z))_i in nats per user, with t_i = 1 for i in S, alpha elsewhere.

    alpha (I - N) / N = `share`: the items that a user has not interacted with have together
    `share` times the weight of those that the user has. With 0 it is Eq. 1.

    Notation: `share` = alpha (I - N) / N.
    """

    share: float

    def __call__(self, step: Step, /) -> Float[Tensor, " users"]:
        background = soft_targets(step.histories, self.share, step.hidden)
        return step.output.multinomial_nll(step.hidden, step.histories, background)


def soft_targets(rows: Rows, share: float, like: Tensor) -> Background:
    """Return the same target alpha for all items outside of S, user by user.

    alpha is at most 1, where a user has interacted with a large part of the catalogue, and 0
    for a user with all items or none.

    Args:
        rows: the sets S, over the whole catalogue.
        share: alpha (I - N) / N.
        like: a tensor of the wanted dtype and device.
    """
    counts = rows.counts.to(like)
    others = rows.n_items - counts
    alpha = (share * counts / others.clamp(min=1)).clamp(max=1) * (others > 0)
    return Background(alpha, counts + alpha * others)
