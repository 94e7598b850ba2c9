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
        log_total = torch.logsumexp(logits, dim=1)
        chosen = torch.zeros_like(log_total).index_add_(0, users, logits[users, items])
        ctx.save_for_backward(logits, log_total, items, users, counts)
        return counts * log_total - chosen

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        logits, log_total, items, users, counts = ctx.saved_tensors
        (grad,) = grads
        gradient = (logits - log_total[:, None]).exp_().mul_((counts * grad)[:, None])
        gradient[users, items] -= grad[users]
        return gradient, None, None, None
