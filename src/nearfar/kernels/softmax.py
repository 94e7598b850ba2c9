"""The multinomial likelihood of sparse rows at a linear output layer, block by block.

The product, the softmax and its gradient are computed in blocks of items that fit in a core's
cache, so that scores reach main memory once. A step allocates no memory of the size of the scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.kernels.background import Background
from nearfar.kernels.gradients import memory_of_gradient
from nearfar.kernels.memory import Workspace
from nearfar.kernels.products import affine, multiply_into, widest
from nearfar.kernels.rows import Rows

BLOCK_BYTES = 2 << 20
"""Approximate bytes of scores per block on a CPU: they should stay in a core's level-2 cache."""

SAFE_TOTALS = (1e-20, 1e30)
"""Range of the sums of exponentials of unshifted scores in which no precision is lost."""

MIN_WIDTH = 128


def linear_multinomial_nll(
    hidden: Float[Tensor, "users hidden"],
    weight: Float[Tensor, "items hidden"],
    bias: Float[Tensor, " items"],
    rows: Rows,
    workspace: Workspace,
    offsets: Float[Tensor, " nnz"] | None = None,
    background: Background | None = None,
) -> Float[Tensor, " users"]:
    """Compute -sum_i t_i log softmax(W h + b)_i, in nats per user (Eq. 1).

    The targets t_i are 1, or the entry's weight, for i in S; otherwise 0 or the background's.

    Args:
        hidden: inputs of the decoder's last layer.
        weight: W.
        bias: b.
        rows: the sets S.
        workspace: memory for the scores.
        offsets: a number per entry of the rows that is added to its score.
        background: the targets outside of S; None for 0.
    """
    can_fuse = offsets is None and rows.weights is None
    if workspace.fused and can_fuse and (background is None or background.weights is None):
        # Triton is installed only with PyTorch for GPUs.
        from nearfar.kernels.fused_softmax import fused_multinomial_nll

        return fused_multinomial_nll(hidden, weight, bias, rows, background, workspace.dtype)
    return _LinearMultinomialNLL.apply(hidden, weight, bias, rows, workspace, offsets, background)  # pyright: ignore[reportReturnType]


class _LinearMultinomialNLL(torch.autograd.Function):
    """Computes M logsumexp(f) - sum_i t_i f_i, f = W h + b; its gradient in f is M softmax(f) - t.

    Without a background the targets t are x and M = N.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        rows: Rows,
        workspace: Workspace,
        offsets: Tensor | None,
        background: Background | None,
    ) -> Tensor:
        ctx.save_for_backward(hidden)
        ctx.weight, ctx.bias, ctx.workspace = weight, bias, workspace
        parts = _split(rows, offsets, background, weight, workspace)
        part_scores = [_scores(part, hidden, weight, bias, workspace) for part in parts]
        ctx.parts, ctx.scores, ctx.uses = parts, part_scores[-1], workspace.uses
        return torch.cat([scores.nll for scores in part_scores])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (hidden,) = ctx.saved_tensors
        weight, bias, workspace = ctx.weight, ctx.bias, ctx.workspace
        grad_weight, returned_grad = None, None
        if ctx.needs_input_grad[1]:  # a frozen layer needs one product less
            grad_weight, returned_grad = memory_of_gradient(weight)
        grad_bias = torch.zeros_like(bias)
        grad_hidden = torch.zeros_like(hidden) if ctx.needs_input_grad[0] else None
        for i, part in enumerate(ctx.parts):
            # The scores of the forward pass are valid unless their memory was taken since.
            is_valid = len(ctx.parts) == 1 and ctx.uses == workspace.uses
            scores = ctx.scores if is_valid else _scores(part, hidden, weight, bias, workspace)
            workspace.uses += 1
            users = slice(part.start, part.end)
            _gradients(
                scores, hidden[users], grads[0][users],
                None if grad_hidden is None else grad_hidden[users],
                grad_weight, grad_bias, add=i > 0,
            )  # fmt: skip
        return grad_hidden, returned_grad, grad_bias, None, None, None, None


@dataclass(frozen=True, eq=False)
class _Part:
    """Users `start` to before `end` of a batch."""

    start: int
    end: int
    rows: Rows
    offsets: Tensor | None
    background: Background | None


def _split(
    rows: Rows,
    offsets: Tensor | None,
    background: Background | None,
    weight: Tensor,
    workspace: Workspace,
) -> list[_Part]:
    """Split a batch into parts whose scores fit in the workspace's limit."""
    n = rows.n_users
    size = workspace.users_at_once(n, weight.shape[0], workspace.dtype or weight.dtype)
    if size >= n:
        return [_Part(0, n, rows, offsets, background)]
    bounds = [(start, min(start + size, n)) for start in range(0, n, size)]
    return [
        _Part(
            start, end, rows.part(start, end),
            None if offsets is None else offsets[rows.limits[start] : rows.limits[end]],
            None if background is None else background.part(start, end),
        )
        for start, end in bounds
    ]  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Block:
    """Items `start` to before `end`, and the slice of the rows' entries, by item, in the block."""

    start: int
    end: int
    entries: slice
    values: Float[Tensor, "users width"]


@dataclass(frozen=True, eq=False)
class _Scores:
    """The exponentials exp(f - shift) in blocks, and what the gradient needs besides.

    Attributes:
        weight: the layer's weight in the precision of the products.
        totals: sums of the exponentials over all items.
        positions: positions of the entries, by item, in the memory of their blocks.
        targets: targets of the entries minus the background; None for 1.
    """

    blocks: list[_Block]
    weight: Float[Tensor, "items hidden"]
    totals: Float[Tensor, " users"]
    positions: Tensor
    users: Tensor
    mass: Float[Tensor, " users"]
    targets: Float[Tensor, " nnz"] | None
    background: Background | None
    nll: Float[Tensor, " users"]


def _scores(
    part: _Part, hidden: Tensor, weight: Tensor, bias: Tensor, workspace: Workspace
) -> _Scores:
    """Compute the exponentials of a part, shifted by each user's highest score if necessary."""
    hidden = hidden[part.start : part.end]
    if hidden.device.type == "cpu":
        # Nearly always exp f neither overflows nor underflows; then two passes are saved.
        scores = _exponentials(part, hidden, weight, bias, workspace, None)
        low, high = SAFE_TOTALS
        if bool(((scores.totals > low) & (scores.totals < high)).all()):
            return scores
        shift = _highest(part, hidden, weight, bias)
        return _exponentials(part, hidden, weight, bias, workspace, shift)
    # On a GPU all items are one block, so that the highest score needs no additional product.
    return _exponentials(part, hidden, weight, bias, workspace, None, subtract_highest=True)


def _highest(part: _Part, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return each user's highest score."""
    width = block_width(part.rows.n_users, len(weight), hidden.dtype, hidden.device)
    block_maxima = [
        torch.addmm(b, hidden, w.T).amax(1)
        for w, b in zip(weight.split(width), bias.split(width), strict=True)
    ]
    return torch.stack(block_maxima).amax(0)


def _exponentials(
    part: _Part,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    workspace: Workspace,
    shift: Tensor | None,
    *,
    subtract_highest: bool = False,
) -> _Scores:
    rows, by_item, background = part.rows, part.rows.by_item, part.background
    n_users, n_items = rows.n_users, rows.n_items
    offsets = None if part.offsets is None else part.offsets[by_item.order]
    dtype = workspace.dtype or hidden.dtype
    memory = workspace.take(n_users * n_items, dtype, hidden.device)
    width = block_width(n_users, n_items, dtype, hidden.device)
    block_numbers = by_item.indices.div(width, rounding_mode="floor")
    widths = (n_items - block_numbers * width).clamp(max=width)
    positions = by_item.users * widths + by_item.indices - block_numbers * width
    starts = range(0, n_items, width)
    bounds = _entry_bounds(block_numbers, len(starts))
    h, weight = hidden.to(dtype), workspace.rounded(weight)
    blocks = []
    totals, entry_scores = torch.zeros_like(hidden[:, 0]), hidden.new_empty(len(positions))
    background_sums = None if background is None else torch.zeros_like(totals)
    for i, start in enumerate(starts):
        end = min(start + width, n_items)
        values = memory[start * n_users : end * n_users].view(n_users, end - start)
        f = affine(h, weight[start:end], bias[start:end].to(dtype), values).to(hidden.dtype)
        if subtract_highest:
            shift = f.amax(1)
        if shift is not None:
            f.sub_(shift[:, None])
        low, high = bounds[i], bounds[i + 1]
        if offsets is not None:
            f.view(-1).index_add_(0, positions[low:high], offsets[low:high])
        torch.index_select(f.view(-1), 0, positions[low:high], out=entry_scores[low:high])
        if background is not None and background_sums is not None:
            w = background.weights
            background_sums += f.sum(1) if w is None else torch.mv(f, w[start:end])
        f.exp_()
        totals += f.sum(1)
        if f is not values:
            values.copy_(f)
        blocks.append(_Block(start, end, slice(low, high), values))
    targets = None if rows.weights is None else rows.weights[by_item.order].to(hidden.dtype)
    if background is not None:
        targets = background.own_targets(by_item, 1.0 if targets is None else targets)
    mass = rows.totals.to(hidden.dtype) if background is None else background.mass
    weighted = entry_scores if targets is None else targets * entry_scores
    nll = mass * totals.log() - torch.zeros_like(totals).index_add_(0, by_item.users, weighted)
    if background is not None and background_sums is not None:
        nll -= background.alpha * background_sums
    return _Scores(blocks, weight, totals, positions, by_item.users, mass, targets, background, nll)


def _gradients(
    scores: _Scores,
    hidden: Tensor,
    grad: Tensor,
    grad_hidden: Tensor | None,
    grad_weight: Tensor | None,
    grad_bias: Tensor,
    *,
    add: bool,
) -> None:
    """Compute the gradients that are not None from the exponentials E, which are overwritten.

    The gradient in f is r (E - q t), with q = sum(E) / M and r = grad / q per user. Instead of f, r
    multiplies the hidden units and their gradient, which are smaller.
    """
    background, dtype = scores.background, scores.weight.dtype
    r = grad * scores.mass / scores.totals
    q = (scores.totals / scores.mass).masked_fill(scores.mass == 0, 0)
    targets = 1.0 if scores.targets is None else scores.targets
    entry_terms = (-q[scores.users] * targets).to(dtype)
    background_terms = None if background is None else (-background.alpha * q).to(dtype)
    h = (r[:, None] * hidden).to(dtype)
    for block in scores.blocks:
        items, f = slice(block.start, block.end), block.values
        if background is not None and background_terms is not None:
            if background.weights is None:
                f += background_terms[:, None]
            else:
                f.addr_(background_terms, background.weights[items].to(dtype))
        f.view(-1).index_add_(0, scores.positions[block.entries], entry_terms[block.entries])
        grad_bias[items] += torch.mv(f.to(r.dtype).T, r)
        if grad_hidden is not None:
            multiply_into(grad_hidden, f, scores.weight[items], add=True)
        if grad_weight is not None:
            multiply_into(grad_weight[items], f.T, h, add=add)
    if grad_hidden is not None:
        grad_hidden *= r[:, None]


def block_width(n_users: int, n_items: int, dtype: torch.dtype, device: torch.device) -> int:
    """Return the items per block of scores; all items on a GPU, where large products are fast."""
    if device.type != "cpu":
        return n_items
    n_fitting = BLOCK_BYTES // (max(1, n_users) * dtype.itemsize)
    return min(n_items, widest(n_users, dtype), max(MIN_WIDTH, n_fitting // 64 * 64))


def _entry_bounds(block_numbers: Tensor, n_blocks: int) -> list[int]:
    """Return where the entries of each block begin, and the end, for entries sorted by block."""
    if n_blocks == 1:
        return [0, len(block_numbers)]
    starts = torch.arange(n_blocks + 1, device=block_numbers.device)
    return torch.searchsorted(block_numbers, starts).tolist()
