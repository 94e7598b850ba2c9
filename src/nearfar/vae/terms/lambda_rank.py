"""The cost of LambdaRank: pairs of items weighted by how much swapping them changes NDCG."""

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
"""Approximate memory of a part of the users. Fixed, because the samples depend on the parts."""

ITEM_BYTES = 48
"""Approximate bytes per user and item."""

PAIR_BYTES = 24
"""Approximate bytes per pair of items."""


@dataclass(frozen=True)
class LambdaRank:
    """The cost sum_{i in S} sum_{j not in S} |Delta NDCG_ij| log(1 + exp(-sigma (f_i - f_j))).

    |Delta NDCG_ij| = |1/log2(1 + r_i) - 1/log2(1 + r_j)| / sum_{r <= N} 1/log2(1 + r), r the
    ranks among all items by the current scores, is a constant in the gradient, which consists of
    the lambdas: lambda_ij = -sigma |Delta NDCG_ij| / (1 + exp(sigma (f_i - f_j))) is added at i
    and subtracted at j.

    There are N (I - N) pairs per user. The `top` highest negatives are in all their pairs. The
    ranking of the other negatives is divided into `sampled` equal intervals; one negative is
    sampled from each and weighted by its length, so that cost and lambdas are unbiased. With
    `top` = I they are exact.

    Weights of interactions multiply the pairs of their items.

    It is not a likelihood: it defines no p(x|z).

    Source: Burges, From RankNet to LambdaRank to LambdaMART: An Overview, 2010, sections 2 to 4.
    Differs: the published code of RaCT (Lobel et al. 2020), the source of LambdaNet's published
    numbers, uses all pairs.

    Args:
        sigma: steepness of the logistic function.
        top: number of highest negatives that are in all their pairs.
        sampled: number of other negatives to sample.
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
        """Return the first user of each part and the one after its last; see `PART_BYTES`."""
        pairs = np.diff(rows.limits) * min(self.top + self.sampled, rows.n_items)
        part_numbers = np.cumsum(ITEM_BYTES * rows.n_items + PAIR_BYTES * pairs) // PART_BYTES
        ends = [*(np.flatnonzero(np.diff(part_numbers)) + 1).tolist(), rows.n_users]
        return list(zip([0, *ends[:-1]], ends, strict=True))

    @torch.no_grad()
    def _part(
        self,
        rows: Rows,
        scores: Float[Tensor, "users items"],
        gradient: Float[Tensor, "users items"],
        rng: torch.Generator,
    ) -> Float[Tensor, " users"]:
        """Return the cost of some users, and write their lambdas to `gradient`."""
        users, positives = rows.users, (rows.users, rows.indices)
        order = scores.argsort(dim=1, descending=True, stable=True)
        discounts = discounts_of_ranks(scores)
        discount = torch.empty_like(scores).scatter_(1, order, discounts.expand_as(scores))
        ideal = discounts.cumsum(0)[rows.counts - 1]
        negatives, weights = self._negatives(rows, order, rng)
        weights = weights / ideal[:, None]
        # Below, a row is a positive of some user and a column is one of this user's negatives.
        margin = self.sigma * (scores[positives][:, None] - scores.gather(1, negatives)[users])
        change = (discount[positives][:, None] - discount.gather(1, negatives)[users]).abs_()
        change *= weights[users]
        if rows.weights is not None:
            change *= rows.weights[:, None]
        cost = (change * torch.nn.functional.softplus(-margin)).sum(1)
        lambdas = change.mul_(-self.sigma).mul_(torch.sigmoid(margin.neg_()))
        gradient[positives] = lambdas.sum(1)
        negative_sums = torch.zeros_like(weights).index_add_(0, users, lambdas)
        gradient.scatter_add_(1, negatives, -negative_sums)
        return torch.zeros_like(ideal).index_add_(0, users, cost)

    def _negatives(
        self, rows: Rows, order: Int64[Tensor, "users items"], rng: torch.Generator
    ) -> tuple[Int64[Tensor, "users negatives"], Float[Tensor, "users negatives"]]:
        """Return negatives of every user, and the number of negatives that each represents."""
        n_negatives = (rows.n_items - rows.counts)[:, None]
        ranked = negatives_first(rows, order)
        top = min(self.top, rows.n_items)
        n_sampled = self.sampled if top < rows.n_items else 0
        highest = torch.arange(top, device=order.device).expand(rows.n_users, top)
        length = (n_negatives - top).clamp(min=0) / max(1, n_sampled)
        shape = (rows.n_users, n_sampled)
        within = torch.rand(shape, generator=rng, device=order.device)
        intervals = torch.arange(n_sampled, device=order.device)
        sampled = top + (length * (intervals + within)).long()
        places = torch.cat([highest, sampled], 1)
        weights = torch.cat([(highest < n_negatives).to(length.dtype), length.expand(shape)], 1)
        return ranked.gather(1, places.clamp(max=n_negatives - 1).clamp_(min=0)), weights


def discounts_of_ranks(scores: Float[Tensor, "users items"]) -> Float[Tensor, " items"]:
    """Return 1/log2(1 + r) for ranks r from 1 to I, in the dtype and on the device of `scores`."""
    ranks = torch.arange(1, scores.shape[1] + 1, dtype=torch.float64, device=scores.device)
    return ranks.log1p().div(math.log(2)).reciprocal().to(scores.dtype)


def negatives_first(
    rows: Rows, order: Int64[Tensor, "users items"]
) -> Int64[Tensor, "users items"]:
    """Return the order of the items with every user's positives moved behind the negatives."""
    positive = torch.zeros(order.shape, dtype=torch.bool, device=order.device)
    positive[rows.users, rows.indices] = True
    positive = positive.gather(1, order)
    n_negatives = (~positive).cumsum(1)  # up to and including each place
    places = torch.arange(rows.n_items, device=order.device) - n_negatives
    places += (rows.n_items - rows.counts)[:, None]
    places = torch.where(positive, places, n_negatives - 1)
    return torch.empty_like(order).scatter_(1, places, order)


def given_gradient(
    scores: Float[Tensor, "users items"],
    loss: Float[Tensor, " users"],
    gradient: Float[Tensor, "users items"],
) -> Float[Tensor, " users"]:
    """Return `loss` as a function of the scores whose gradient is `gradient`, derived by hand."""
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
