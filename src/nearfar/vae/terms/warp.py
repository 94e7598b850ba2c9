"""The WARP loss: a hinge loss of sampled violations, weighted by an estimate of the rank."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from nearfar.vae.step import Step

CHUNK_DRAWS = 1 << 22
"""Samples per chunk, about 100 MB; all of them, positives x negatives, may need far more."""


class WARPLoss(nn.Module):
    """The loss sum_{i in S} L(rank_i) |margin - f_i + f_j|_+, j the first violation in a sample.

    For every positive i, negatives of the user are sampled until one is a violation,
    f_j > f_i - margin; after n samples the rank of i is estimated as floor((I - N) / n). L(k) =
    sum_{j <= k} 1/j is a constant in the gradient. Without a violation in `n_negatives` samples the
    loss is 0. Weights of interactions multiply the losses of their items.

    It is not a likelihood: it defines no p(x|z).

    Source: Weston, Bengio and Usunier, WSABIE: Scaling Up To Large Vocabulary Image Annotation,
    2011, Algorithm 1, there with a single positive: floor((Y - 1) / n).
    Differs: WSABIE samples up to Y - 1 times. Here all `n_negatives` items are sampled at once; the
    user's items among them do not count.

    Args:
        n_items: items I.
        n_negatives: samples per positive.
        margin: how far the score of a positive should be above those of the negatives.
    """

    harmonic: Float[Tensor, " ranks"]

    def __init__(self, n_items: int, n_negatives: int, margin: float) -> None:
        super().__init__()
        self.n_negatives = n_negatives
        self.margin = margin
        self.register_buffer("harmonic", harmonic_numbers(n_items), persistent=False)

    def forward(self, step: Step, /) -> Float[Tensor, " users"]:
        rows, scores = step.histories, step.logits
        positives = scores[rows.users, rows.indices]
        violations, weights = self._violations(step)
        losses = weights * (self.margin - positives + scores[rows.users, violations])
        if rows.weights is not None:
            losses = losses * rows.weights
        return torch.zeros_like(scores[:, 0]).index_add(0, rows.users, losses)

    @torch.no_grad()
    def _violations(self, step: Step) -> tuple[Int64[Tensor, " nnz"], Float[Tensor, " nnz"]]:
        """Return a violation for every positive and its weight, which is 0 if there is none."""
        rows, scores = step.histories, step.logits
        negatives = scores.index_put((rows.users, rows.indices), scores.new_full((), -torch.inf))
        bounds = scores[rows.users, rows.indices] - self.margin
        n_negatives = (rows.n_items - rows.counts)[rows.users]
        size = max(1, CHUNK_DRAWS // self.n_negatives)
        violations, weights = [], []
        for users, bound, n in zip(
            rows.users.split(size), bounds.split(size), n_negatives.split(size), strict=True
        ):
            shape = (len(users), self.n_negatives)
            items = torch.randint(rows.n_items, shape, generator=step.rng, device=step.rng.device)
            values = negatives.view(-1)[users[:, None] * rows.n_items + items]
            violates = values > bound[:, None]
            first = violates.byte().argmax(1, keepdim=True)  # argmax returns the first of equals
            n_samples = (values > -torch.inf).cumsum(1).gather(1, first)[:, 0].clamp(min=1)
            ranks = n.div(n_samples, rounding_mode="floor")
            violations.append(items.gather(1, first)[:, 0])
            weights.append(self.harmonic[ranks] * violates.gather(1, first)[:, 0])
        return torch.cat(violations), torch.cat(weights)


def harmonic_numbers(n: int) -> Float[Tensor, " ranks"]:
    """Return L(0) = 0, L(1) = 1, ..., L(n) = 1 + 1/2 + ... + 1/n."""
    numbers = torch.zeros(n + 1, dtype=torch.float64)
    torch.cumsum(1 / torch.arange(1, n + 1, dtype=torch.float64), 0, out=numbers[1:])
    return numbers.float()
