"""Products of dense matrices, by the library that is fastest on this processor.

PyTorch computes float32 products on x86 by MKL. On AMD's processors with AVX-512 it takes twice the
time of oneDNN, which is part of PyTorch as well (docs/performance.md). Both sum in float32, but in
a different order.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nearfar.core.device import is_amd_with_avx512

MKL_ROWS, MKL_COLUMNS = 192, 960
"""A float32 product by MKL with at least `MKL_ROWS` rows should have at most `MKL_COLUMNS` columns.

MKL divides wider products among the threads so that they wait for each other within the product
(measured: from 192 rows and 992 columns on). While other programs run, such a product takes two to
three times as long; on a quiet machine it is no faster.
"""


@cache
def _onednn_is_faster() -> bool:
    return (
        is_amd_with_avx512()
        and torch.backends.mkl.is_available()
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def by_onednn(a: Tensor) -> bool:
    """Return whether products of this matrix are computed by oneDNN."""
    return (
        a.dtype == torch.float32
        and a.device.type == "cpu"
        and a.numel() > 0
        and _onednn_is_faster()
    )


def widest(n_rows: int, dtype: torch.dtype) -> int:
    """Return the number of columns up to which a product of `n_rows` rows is fast on the CPU."""
    by_mkl = dtype == torch.float32 and not _onednn_is_faster()
    return MKL_COLUMNS if by_mkl and n_rows >= MKL_ROWS else sys.maxsize


def times(a: Float[Tensor, "n k"], b: Float[Tensor, "k m"]) -> Float[Tensor, "n m"]:
    """Return a b; by oneDNN it has no gradient."""
    return _linear(a, b.T, None) if by_onednn(a) and b.numel() else a @ b


def affine(
    x: Float[Tensor, "n k"],
    weight: Float[Tensor, "m k"],
    bias: Float[Tensor, " m"],
    out: Float[Tensor, "n m"],
) -> Float[Tensor, "n m"]:
    """Return x W' + b, which may be in `out` or in new memory."""
    if by_onednn(x) and weight.numel():
        return _linear(x, weight, bias)
    return torch.addmm(bias, x, weight.T, out=out)


def affine_into(
    out: Float[Tensor, "n m"],
    x: Float[Tensor, "n k"],
    weight: Float[Tensor, "m k"],
    bias: Float[Tensor, " m"],
) -> None:
    """Set `out` to x W' + b."""
    result = affine(x, weight, bias, out)
    if result is not out:
        out.copy_(result)


def multiply_into(
    out: Float[Tensor, "n m"], a: Float[Tensor, "n k"], b: Float[Tensor, "k m"], *, add: bool
) -> None:
    """Set `out` to a b, or add a b to it; `out` may have a higher precision than a and b."""
    if a.dtype == out.dtype and not by_onednn(a):
        torch.addmm(out, a, b, beta=int(add), out=out)
        return
    product = times(a, b)
    if add:
        out += product
    else:
        out.copy_(product)


class Linear(nn.Linear):
    """`torch.nn.Linear`, whose gradients in training mode cannot be differentiated again."""

    def forward(self, input: Float[Tensor, "users inputs"]) -> Float[Tensor, "users outputs"]:
        return linear(input, self.weight, self.bias, once=self.training)


def linear(
    x: Float[Tensor, "n k"],
    weight: Float[Tensor, "m k"],
    bias: Float[Tensor, " m"],
    *,
    once: bool,
) -> Float[Tensor, "n m"]:
    """Return x W' + b with gradients; with `once`, these cannot be differentiated again."""
    if by_onednn(x) and weight.numel() and (once or not torch.is_grad_enabled()):
        return _Linear.apply(x, weight, bias)  # pyright: ignore[reportReturnType]
    return nn.functional.linear(x, weight, bias)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (grad,) = grads
        x, weight = ctx.saved_tensors
        x_needs_grad, weight_needs_grad, bias_needs_grad = ctx.needs_input_grad
        return (
            times(grad, weight) if x_needs_grad else None,
            times(grad.T, x) if weight_needs_grad else None,
            grad.sum(0) if bias_needs_grad else None,
        )


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if not (weight.is_contiguous() or weight.T.is_contiguous()):
        # For a part of another matrix's columns oneDNN has only its reference implementation, which
        # takes seconds instead of milliseconds. (PyTorch itself copies such an `x`.)
        weight = weight.T.contiguous().T
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
