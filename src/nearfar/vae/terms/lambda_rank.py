"""The cost of LambdaRank: pairs weighted by what their exchange would change in NDCG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from nearfar.kernels.rows import Rows
from nearfar.vae.step import Step

PART_BYTES = 1 << 27
"""About the memory that is worked in at a time. Fixed: what is drawn must not depend on it."""

ITEM_BYTES = 48
PAIR_BYTES = 24


@dataclass(frozen=True)
class LambdaRank:
    """sum_{i in S} sum_{j not in S} |Delta NDCG_ij| log(1 + exp(-sigma (f_i - f_j))), a user.

    |Delta NDCG_ij| = |1/log2(1 + r_i) - 1/log2(1 + r_j)| / sum_{r <= N} 1/log2(1 + r), r the
    ranks among all items by the current scores, is a constant in the gradient, which consists of
    the lambdas: lambda_ij = -sigma |Delta NDCG_ij| / (1 + exp(sigma (f_i - f_j))) is added at i
    and subtracted at j.

    There are N (I - N) pairs a user. Those with the `top` highest negatives are all there; of the
    other negatives, one is drawn from each of `sampled` equal stretches of their ranking and
    stands for all of it, so that cost and lambdas are unbiased. With `top` = I they are exact.

    Where interactions have weights, they multiply the pairs of their items.

    It is no likelihood, only a term: it says nothing of p(x|z).

    Source: Burges, From RankNet to LambdaRank to LambdaMART: An Overview, 2010, sections 2 to 4.
    Differs: the published code of RaCT (Lobel et al. 2020), which LambdaNet's published numbers
    are from, goes through all pairs.

    Args:
        sigma: steepness of the logistic function.
        top: so many of the highest negatives are in all pairs.
        sampled: so many of the others are drawn.
    """

    sigma: float
    top: int
    sampled: int

    def __call__(self, step: Step, /) -> Float[Tensor, " users"]:
        rows, scores = step.histories, step.logits.detach()
        gradient = torch.zeros_like(scores)
        losses = [
            self._part(rows.part(start, end), scores[start:end], gradient[start:end], step.rng)
            for start, end in self._bounds(rows)
        ]
        return given_gradient(step.logits, torch.cat(losses), gradient)

    def _bounds(self, rows: Rows) -> list[tuple[int, int]]:
        """Users that are worked on together, from first to before last."""
        pairs = np.diff(rows.limits) * min(self.top + self.sampled, rows.n_items)
        number = np.cumsum(ITEM_BYTES * rows.n_items + PAIR_BYTES * pairs) // PART_BYTES
        ends = [*(np.flatnonzero(np.diff(number)) + 1).tolist(), rows.n_users]
        return list(zip([0, *ends[:-1]], ends, strict=True))

    @torch.no_grad()
    def _part(
        self,
        rows: Rows,
        scores: Float[Tensor, "users items"],
        gradient: Float[Tensor, "users items"],
        rng: torch.Generator,
    ) -> Float[Tensor, " users"]:
        """The cost of some users; their lambdas are added to `gradient`."""
        users, own = rows.users, (rows.users, rows.indices)
        order = scores.argsort(dim=1, descending=True, stable=True)
        discounts = discounts_of_ranks(scores)
        discount = torch.empty_like(scores).scatter_(1, order, discounts.expand_as(scores))
        ideal = discounts.cumsum(0)[rows.counts - 1]
        others, weights = self._negatives(rows, order, rng)
        weights = weights / ideal[:, None]
        # from here on a row is a positive of some user, a column one of this user's negatives
        ahead = self.sigma * (scores[own][:, None] - scores.gather(1, others)[users])
        change = (discount[own][:, None] - discount.gather(1, others)[users]).abs_()
        change *= weights[users]
        if rows.weights is not None:
            change *= rows.weights[:, None]
        cost = (change * torch.nn.functional.softplus(-ahead)).sum(1)
        lambdas = change.mul_(-self.sigma).mul_(torch.sigmoid(ahead.neg_()))
        gradient[own] = lambdas.sum(1)
        of_others = torch.zeros_like(weights).index_add_(0, users, lambdas)
        gradient.scatter_add_(1, others, -of_others)
        return torch.zeros_like(ideal).index_add_(0, users, cost)

    def _negatives(
        self, rows: Rows, order: Int64[Tensor, "users items"], rng: torch.Generator
    ) -> tuple[Int64[Tensor, "users chosen"], Float[Tensor, "users chosen"]]:
        """Negatives of every user, and how many negatives each stands for."""
        n = (rows.n_items - rows.counts)[:, None]
        ranked = negatives_first(rows, order)
        top = min(self.top, rows.n_items)
        n_drawn = self.sampled if top < rows.n_items else 0
        highest = torch.arange(top, device=order.device).expand(rows.n_users, top)
        stretch = (n - top).clamp(min=0) / max(1, n_drawn)
        shape = (rows.n_users, n_drawn)
        within = torch.rand(shape, generator=rng, device=order.device)
        numbers = torch.arange(n_drawn, device=order.device)
        drawn = top + (stretch * (numbers + within)).long()
        places = torch.cat([highest, drawn], 1)
        weights = torch.cat([(highest < n).to(stretch.dtype), stretch.expand(shape)], 1)
        return ranked.gather(1, places.clamp(max=n - 1).clamp_(min=0)), weights


def discounts_of_ranks(scores: Float[Tensor, "users items"]) -> Float[Tensor, " items"]:
    """1/log2(1 + r) for ranks r from 1 to I, in the dtype and on the device of the scores."""
    ranks = torch.arange(1, scores.shape[1] + 1, dtype=torch.float64, device=scores.device)
    return ranks.log1p().div(math.log(2)).reciprocal().to(scores.dtype)


def negatives_first(
    rows: Rows, order: Int64[Tensor, "users items"]
) -> Int64[Tensor, "users items"]:
    """The same orders of the items with every user's own moved behind the others."""
    own = torch.zeros(order.shape, dtype=torch.bool, device=order.device)
    own[rows.users, rows.indices] = True
    own = own.gather(1, order)
    before = (~own).cumsum(1)  # negatives up to and with each place
    places = torch.arange(rows.n_items, device=order.device) - before
    places += (rows.n_items - rows.counts)[:, None]
    return torch.empty_like(order).scatter_(1, torch.where(own, places, before - 1), order)


def given_gradient(
    scores: Float[Tensor, "users items"],
    loss: Float[Tensor, " users"],
    gradient: Float[Tensor, "users items"],
) -> Float[Tensor, " users"]:
    """The loss per user as a function of the scores with this gradient, derived by hand."""
    return _GivenGradient.apply(scores, loss, gradient)  # pyright: ignore[reportReturnType]


class _GivenGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grads[0][:, None], None, None
