"""A loss that comes with its gradient."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


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
