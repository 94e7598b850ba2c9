"""The multinomial reconstruction term of Eq. 1."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.vae.rows import Rows
from nearfar.vae.terms.term import Step


def reconstruction(step: Step, /) -> Float[Tensor, " users"]:
    """-log p(x|z) = -sum_i x_i log softmax(f(z))_i, in nats a user (Eq. 1)."""
    return multinomial_nll(step.logits, step.histories)


def multinomial_nll(logits: Float[Tensor, "users items"], rows: Rows) -> Float[Tensor, " users"]:
    """The multinomial negative log-likelihood of sparse rows; no dense target is made."""
    return _MultinomialNLL.apply(logits, rows.indices, rows.users, rows.counts)  # pyright: ignore[reportReturnType]


class _MultinomialNLL(torch.autograd.Function):
    """N logsumexp(f) - sum_{i in S} f_i, whose gradient is N softmax(f) - x."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, items: Tensor, users: Tensor, counts: Tensor) -> Tensor:
        top = logits.amax(1, keepdim=True)
        exponentials = (logits - top).exp_()
        total = exponentials.sum(1)
        chosen = logits[users, items] - top[users, 0]
        ctx.save_for_backward(exponentials, total, items, users, counts)
        return counts * total.log() - torch.zeros_like(total).index_add_(0, users, chosen)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        exponentials, total, items, users, counts = ctx.saved_tensors
        (grad,) = grads
        gradient = exponentials * (counts * grad / total)[:, None]
        gradient[users, items] -= grad[users]
        return gradient, None, None, None
