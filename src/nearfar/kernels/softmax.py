"""The multinomial likelihood of sparse rows at a linear output layer, block by block.

The layer's product, the softmax and its gradient are one piece of work: blocks of items are
small enough for a core's cache, so that the scores of a batch are read and written there and
reach main memory once. Nothing of the size of the scores is allocated in a step.
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
"""About the scores of one block on a CPU: they should stay in the cores' second-level caches."""

SAFE_TOTALS = (1e-20, 1e30)
"""Sums of exponentials of unshifted scores that nothing was lost of."""

MIN_WIDTH = 128


def linear_multinomial_nll(
    hidden: Float[Tensor, "users hidden"],
    weight: Float[Tensor, "items hidden"],
    bias: Float[Tensor, " items"],
    rows: Rows,
    workspace: Workspace,
    own: Float[Tensor, " nnz"] | None = None,
    background: Background | None = None,
) -> Float[Tensor, " users"]:
    """Compute -sum_i t_i log softmax(W h + b)_i, in nats per user (Eq. 1).

    The targets t_i are 1, or the entry's weight, for i in S, elsewhere 0 or the background's.

    Args:
        hidden: what the decoder passes to its last layer.
        weight: W.
        bias: b.
        rows: the sets S.
        workspace: memory for the scores.
        own: a number per entry of the rows that is added to the entry's score.
        background: the targets outside of S; None for 0.
    """
    plain = own is None and rows.weights is None
    if workspace.fused and plain and (background is None or background.weights is None):
        # Triton comes with PyTorch for GPUs alone
        from nearfar.kernels.fused_softmax import fused_multinomial_nll

        return fused_multinomial_nll(hidden, weight, bias, rows, background, workspace.dtype)
    return _LinearMultinomialNLL.apply(hidden, weight, bias, rows, workspace, own, background)  # pyright: ignore[reportReturnType]


class _LinearMultinomialNLL(torch.autograd.Function):
    """M logsumexp(f) - sum_i t_i f_i with f = W h + b; its gradient in f is M softmax(f) - t.

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
        own: Tensor | None,
        background: Background | None,
    ) -> Tensor:
        ctx.save_for_backward(hidden)
        ctx.weight, ctx.bias, ctx.workspace = weight, bias, workspace
        parts = _parts(rows, own, background, weight, workspace)
        found = [_scores(part, hidden, weight, bias, workspace) for part in parts]
        ctx.parts, ctx.scores, ctx.uses = parts, found[-1], workspace.uses
        return torch.cat([scores.nll for scores in found])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (hidden,) = ctx.saved_tensors
        weight, bias, workspace = ctx.weight, ctx.bias, ctx.workspace
        grad_weight, given = None, None
        if ctx.needs_input_grad[1]:  # a frozen layer costs one product less
            grad_weight, given = memory_of_gradient(weight)
        grad_bias = torch.zeros_like(bias)
        grad_hidden = torch.zeros_like(hidden) if ctx.needs_input_grad[0] else None
        for i, part in enumerate(ctx.parts):
            # the scores stand if they are this pass's own and nothing took their memory since
            fresh = len(ctx.parts) == 1 and ctx.uses == workspace.uses
            scores = ctx.scores if fresh else _scores(part, hidden, weight, bias, workspace)
            workspace.uses += 1
            users = slice(part.start, part.end)
            _gradients(
                scores, hidden[users], grads[0][users],
                None if grad_hidden is None else grad_hidden[users],
                grad_weight, grad_bias, add=i > 0,
            )  # fmt: skip
        return grad_hidden, given, grad_bias, None, None, None, None


@dataclass(frozen=True, eq=False)
class _Part:
    """Users `start` to before `end` of a batch, with their entries' additions."""

    start: int
    end: int
    rows: Rows
    own: Tensor | None
    background: Background | None


def _parts(
    rows: Rows,
    own: Tensor | None,
    background: Background | None,
    weight: Tensor,
    workspace: Workspace,
) -> list[_Part]:
    n = rows.n_users
    size = workspace.users_at_once(n, weight.shape[0], workspace.dtype or weight.dtype)
    if size >= n:
        return [_Part(0, n, rows, own, background)]
    ends = [(start, min(start + size, n)) for start in range(0, n, size)]
    entries = [slice(rows.limits[s], rows.limits[e]) for s, e in ends]
    return [
        _Part(
            s, e, rows.part(s, e),
            None if own is None else own[among],
            None if background is None else background.part(s, e),
        )
        for (s, e), among in zip(ends, entries, strict=True)
    ]  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Block:
    """Items `start` to before `end`, and which of the rows' entries, by item, are among them."""

    start: int
    end: int
    entries: slice
    values: Float[Tensor, "users width"]


@dataclass(frozen=True, eq=False)
class _Scores:
    """exp(f - shift) block by block, and their sums over all items.

    `places` are the rows' entries, by item, within their block's memory, `targets` their targets
    above the background, or None for 1; `weight` is the layer's in the products' precision.
    """

    blocks: list[_Block]
    weight: Float[Tensor, "items hidden"]
    totals: Float[Tensor, " users"]
    places: Tensor
    users: Tensor
    mass: Float[Tensor, " users"]
    targets: Float[Tensor, " nnz"] | None
    background: Background | None
    nll: Float[Tensor, " users"]


def _scores(
    part: _Part, hidden: Tensor, weight: Tensor, bias: Tensor, workspace: Workspace
) -> _Scores:
    hidden = hidden[part.start : part.end]
    if hidden.device.type == "cpu":
        # nearly always exp f neither overflows nor vanishes, and two passes can be saved
        scores = _exponentials(part, hidden, weight, bias, workspace, None)
        low, high = SAFE_TOTALS
        if bool(((scores.totals > low) & (scores.totals < high)).all()):
            return scores
        shift = _highest(part, hidden, weight, bias)
        return _exponentials(part, hidden, weight, bias, workspace, shift)
    # all items are one block, in which the highest score is found without another product
    return _exponentials(part, hidden, weight, bias, workspace, None, subtract_highest=True)


def _highest(part: _Part, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Each user's highest score."""
    width = block_width(part.rows.n_users, len(weight), hidden.dtype, hidden.device)
    tops = [
        torch.addmm(b, hidden, w.T).amax(1)
        for w, b in zip(weight.split(width), bias.split(width), strict=True)
    ]
    return torch.stack(tops).amax(0)


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
    own = None if part.own is None else part.own[by_item.order]
    dtype = workspace.dtype or hidden.dtype
    memory = workspace.take(n_users * n_items, dtype, hidden.device)
    width = block_width(n_users, n_items, dtype, hidden.device)
    number = by_item.indices.div(width, rounding_mode="floor")
    widths = (n_items - number * width).clamp(max=width)
    places = by_item.users * widths + by_item.indices - number * width
    starts = range(0, n_items, width)
    bounds = _bounds(number, len(starts))
    h, weight = hidden.to(dtype), workspace.rounded(weight)
    blocks = []
    totals, chosen = torch.zeros_like(hidden[:, 0]), hidden.new_empty(len(places))
    everywhere = None if background is None else torch.zeros_like(totals)
    for i, start in enumerate(starts):
        end = min(start + width, n_items)
        values = memory[start * n_users : end * n_users].view(n_users, end - start)
        found = affine(h, weight[start:end], bias[start:end].to(dtype), values)
        f = found.to(hidden.dtype)
        if subtract_highest:
            shift = f.amax(1)
        if shift is not None:
            f.sub_(shift[:, None])
        low, high = bounds[i], bounds[i + 1]
        if own is not None:
            f.view(-1).index_add_(0, places[low:high], own[low:high])
        torch.index_select(f.view(-1), 0, places[low:high], out=chosen[low:high])
        if background is not None and everywhere is not None:
            w = background.weights
            everywhere += f.sum(1) if w is None else torch.mv(f, w[start:end])
        f.exp_()
        totals += f.sum(1)
        if f is not values:
            values.copy_(f)
        blocks.append(_Block(start, end, slice(low, high), values))
    targets = None if rows.weights is None else rows.weights[by_item.order].to(hidden.dtype)
    if background is not None:
        targets = background.own_targets(by_item, 1.0 if targets is None else targets)
    mass = rows.totals.to(hidden.dtype) if background is None else background.mass
    weighted = chosen if targets is None else targets * chosen
    nll = mass * totals.log() - torch.zeros_like(totals).index_add_(0, by_item.users, weighted)
    if background is not None and everywhere is not None:
        nll -= background.alpha * everywhere
    return _Scores(blocks, weight, totals, places, by_item.users, mass, targets, background, nll)


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
    """Turn the exponentials E into the gradients that are asked for.

    The gradient in f is r (E - q t), with q = sum(E) / M and r = grad / q per user. E - q t takes
    the place of E. r multiplies the hidden units and their gradient, which are smaller than f.
    """
    background, dtype = scores.background, scores.weight.dtype
    r = grad * scores.mass / scores.totals
    q = (scores.totals / scores.mass).masked_fill(scores.mass == 0, 0)
    own = (-q[scores.users] * (1.0 if scores.targets is None else scores.targets)).to(dtype)
    elsewhere = None if background is None else (-background.alpha * q).to(dtype)
    h = (r[:, None] * hidden).to(dtype)
    for block in scores.blocks:
        items, f = slice(block.start, block.end), block.values
        if background is not None and elsewhere is not None:
            if background.weights is None:
                f += elsewhere[:, None]
            else:
                f.addr_(elsewhere, background.weights[items].to(dtype))
        f.view(-1).index_add_(0, scores.places[block.entries], own[block.entries])
        grad_bias[items] += torch.mv(f.to(r.dtype).T, r)
        if grad_hidden is not None:
            multiply_into(grad_hidden, f, scores.weight[items], add=True)
        if grad_weight is not None:
            multiply_into(grad_weight[items], f.T, h, add=add)
    if grad_hidden is not None:
        grad_hidden *= r[:, None]


def block_width(n_users: int, n_items: int, dtype: torch.dtype, device: torch.device) -> int:
    """Items a block of scores: all of them on a GPU, whose products want to be large."""
    if device.type != "cpu":
        return n_items
    fitting = BLOCK_BYTES // (max(1, n_users) * dtype.itemsize)
    return min(n_items, widest(n_users, dtype), max(MIN_WIDTH, fitting // 64 * 64))


def _bounds(numbers: Tensor, n_blocks: int) -> list[int]:
    """Where each block's entries begin, of entries sorted by block."""
    if n_blocks == 1:
        return [0, len(numbers)]
    starts = torch.arange(n_blocks + 1, device=numbers.device)
    return torch.searchsorted(numbers, starts).tolist()
