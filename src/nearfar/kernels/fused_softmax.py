"""The multinomial likelihood at a linear output layer by Triton, without scores in memory.

Two kernels multiply and use the scores at once, without storing them: one computes
log sum_i exp f_i, the other the softmax of a few thousand items, which the products of the gradient
read while they are in the cache. That is four products instead of three, but no passes over
users x items.

Source: as Wijmans et al., Cut Your Losses in Large-Vocabulary Language Models, 2024.
Differs: the terms of the user's items are summed by sparse products. Gradients are computed by
dense products, so that two runs sum in the same order.
"""

from __future__ import annotations

from typing import Any

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from jaxtyping import Float
from torch import Tensor

from nearfar.kernels.background import Background
from nearfar.kernels.gradients import memory_of_gradient
from nearfar.kernels.products import multiply_into
from nearfar.kernels.rows import Rows
from nearfar.kernels.sparse import weighted_sums

USERS, ITEMS, INPUTS = 64, 64, 32
"""Users, items and inputs of the layer that one program multiplies at once."""

TILES = 16
"""Tiles of items whose exponentials one program sums."""

CHUNK_BYTES = 16 << 20
"""Approximate size of the part of the softmax in memory at once: it should stay in the cache."""


def fused_multinomial_nll(
    hidden: Float[Tensor, "users hidden"],
    weight: Float[Tensor, "items hidden"],
    bias: Float[Tensor, " items"],
    rows: Rows,
    background: Background | None = None,
    dtype: torch.dtype | None = None,
) -> Float[Tensor, " users"]:
    """Compute what `linear_multinomial_nll` computes, with a background of equal targets or none.

    Args:
        hidden: inputs of the decoder's last layer.
        weight: W.
        bias: b.
        rows: the sets S.
        background: the targets outside of S, the same for all items; None for 0.
        dtype: precision of the products; None for that of the parameters.
    """
    return _FusedNLL.apply(hidden, weight, bias, rows, background, dtype)  # pyright: ignore[reportReturnType]


class _FusedNLL(torch.autograd.Function):
    """Computes M logsumexp(f) - (1 - alpha) sum_{i in S} f_i - alpha sum_i f_i, f = W h + b.

    The last two sums are linear in the rows of W, so that they need no scores.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        rows: Rows,
        background: Background | None,
        dtype: torch.dtype | None,
    ) -> Tensor:
        h, w = hidden.to(dtype or hidden.dtype), weight.to(dtype or weight.dtype)
        lse = _logsumexp(h, w, bias)
        ones = torch.ones_like(rows.indices, dtype=hidden.dtype)
        positive_weight = weighted_sums(weight, rows.indices, rows.indptr, ones)
        positive_bias = torch.zeros_like(lse).index_add_(0, rows.users, bias[rows.indices])
        positive_sum = (hidden * positive_weight).sum(1) + positive_bias
        mass = rows.counts.to(hidden.dtype) if background is None else background.mass
        ctx.save_for_backward(hidden, lse, positive_weight, mass)
        ctx.weight, ctx.bias, ctx.rows, ctx.background, ctx.dtype = (
            weight, bias, rows, background, dtype,
        )  # fmt: skip
        nll = mass * lse
        if background is None:
            return nll - positive_sum
        total = hidden @ weight.sum(0) + bias.sum()
        return nll - (1 - background.alpha) * positive_sum - background.alpha * total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, lse, positive_weight, mass = ctx.saved_tensors
        weight, bias, rows, background = ctx.weight, ctx.bias, ctx.rows, ctx.background
        grad = grads[0]
        grad_positive = -grad if background is None else -grad * (1 - background.alpha)
        h = hidden.to(ctx.dtype or hidden.dtype)
        grad_hidden = grad_positive[:, None] * positive_weight
        grad_bias = torch.zeros_like(bias)
        grad_weight, returned_grad = None, None
        if ctx.needs_input_grad[1]:
            grad_weight, returned_grad = memory_of_gradient(weight)
        width = max(ITEMS, CHUNK_BYTES // (h.element_size() * len(h)) // ITEMS * ITEMS)
        memory = h.new_empty(len(h) * min(width, len(weight)))
        factors = mass * grad
        for start in range(0, len(weight), width):
            items = slice(start, min(start + width, len(weight)))
            w = weight[items].to(h.dtype)
            p = _softmax(h, w, bias[items], lse, factors, memory)
            multiply_into(grad_hidden, p, w, add=True)
            grad_bias[items] = p.sum(0, dtype=bias.dtype)
            if grad_weight is not None:
                multiply_into(grad_weight[items], p.T, h, add=False)
        by_item = rows.by_item
        scaled_hidden = grad_positive[:, None] * hidden
        grad_bias.index_add_(0, rows.indices, grad_positive[rows.users])
        if grad_weight is not None:
            ones = torch.ones_like(by_item.users, dtype=hidden.dtype)
            sums = weighted_sums(scaled_hidden, by_item.users, by_item.indptr, ones)
            grad_weight.index_add_(0, by_item.items, sums)
        if background is not None:
            grad_total = -grad * background.alpha
            grad_hidden.addr_(grad_total, weight.sum(0))
            grad_bias += grad_total.sum()
            if grad_weight is not None:
                grad_weight += grad_total @ hidden
        return grad_hidden, returned_grad, grad_bias, None, None, None


def _logsumexp(h: Tensor, w: Tensor, bias: Tensor) -> Tensor:
    """Return log sum_i exp f_i of every user, in float32."""
    n_parts = triton.cdiv(len(w), TILES * ITEMS)
    parts = torch.empty(len(h), n_parts, dtype=torch.float32, device=h.device)
    grid = (triton.cdiv(len(h), USERS), n_parts)
    _logsumexp_kernel[grid](  # pyright: ignore[reportIndexIssue]
        h, w, bias, parts, len(h), len(w), h.shape[1], n_parts,
        USERS, ITEMS, INPUTS, TILES, _precision(),
    )  # fmt: skip
    return parts.logsumexp(1)


def _softmax(
    h: Tensor, w: Tensor, bias: Tensor, lse: Tensor, factors: Tensor, memory: Tensor
) -> Tensor:
    """Return exp(f - lse) of some items times each user's factor, in `memory`."""
    result = memory[: len(h) * len(w)].view(len(h), len(w))
    grid = (triton.cdiv(len(h), USERS), triton.cdiv(len(w), ITEMS))
    _softmax_kernel[grid](  # pyright: ignore[reportIndexIssue]
        h, w, bias, lse, factors, result, len(h), len(w), h.shape[1],
        USERS, ITEMS, INPUTS, _precision(),
    )  # fmt: skip
    return result


def _precision() -> str:
    """Return the precision of float32 products that is set in PyTorch."""
    return "ieee" if torch.get_float32_matmul_precision() == "highest" else "tf32"


@triton.jit
def _scores(
    h, w, bias, users, items, n_users, n_items, n_inputs,
    block_users: tl.constexpr, block_items: tl.constexpr, block_inputs: tl.constexpr,
    products: tl.constexpr,
):  # fmt: skip
    total = tl.zeros((block_users, block_items), tl.float32)
    for start in range(0, n_inputs, block_inputs):
        inputs = start + tl.arange(0, block_inputs)
        inside = inputs[None, :] < n_inputs
        a = tl.load(
            h + users[:, None].to(tl.int64) * n_inputs + inputs[None, :],
            mask=(users[:, None] < n_users) & inside,
            other=0.0,
        )
        b = tl.load(
            w + items[:, None].to(tl.int64) * n_inputs + inputs[None, :],
            mask=(items[:, None] < n_items) & inside,
            other=0.0,
        )
        total += tl.dot(a, tl.trans(b), input_precision=products)
    item_bias = tl.load(bias + items, mask=items < n_items, other=float("-inf"))
    return total + item_bias[None, :]


@triton.jit
def _logsumexp_kernel(
    h, w, bias, parts, n_users, n_items, n_inputs, n_parts,
    block_users: tl.constexpr, block_items: tl.constexpr, block_inputs: tl.constexpr,
    n_tiles: tl.constexpr, products: tl.constexpr,
):  # fmt: skip
    users = tl.program_id(0) * block_users + tl.arange(0, block_users)
    part = tl.program_id(1)
    highest = tl.full((block_users,), float("-inf"), tl.float32)
    total = tl.zeros((block_users,), tl.float32)
    for tile in range(n_tiles):  # the first tile has an item, so that `highest` is finite after it
        items = (part * n_tiles + tile) * block_items + tl.arange(0, block_items)
        f = _scores(
            h, w, bias, users, items, n_users, n_items, n_inputs,
            block_users, block_items, block_inputs, products,
        )  # fmt: skip
        new_highest = tl.maximum(highest, tl.max(f, 1))
        total = total * tl.exp(highest - new_highest) + tl.sum(tl.exp(f - new_highest[:, None]), 1)
        highest = new_highest
    positions = users.to(tl.int64) * n_parts + part
    tl.store(parts + positions, highest + tl.log(total), mask=users < n_users)


@triton.jit
def _softmax_kernel(
    h, w, bias, lse, factors, result, n_users, n_items, n_inputs,
    block_users: tl.constexpr, block_items: tl.constexpr, block_inputs: tl.constexpr,
    products: tl.constexpr,
):  # fmt: skip
    users = tl.program_id(0) * block_users + tl.arange(0, block_users)
    items = tl.program_id(1) * block_items + tl.arange(0, block_items)
    f = _scores(
        h, w, bias, users, items, n_users, n_items, n_inputs,
        block_users, block_items, block_inputs, products,
    )  # fmt: skip
    is_user = users < n_users
    user_lse = tl.load(lse + users, mask=is_user, other=0.0)
    factor = tl.load(factors + users, mask=is_user, other=0.0)
    p = tl.exp(f - user_lse[:, None]) * factor[:, None]
    positions = users[:, None].to(tl.int64) * n_items + items[None, :]
    tl.store(result + positions, p, mask=is_user[:, None] & (items[None, :] < n_items))
