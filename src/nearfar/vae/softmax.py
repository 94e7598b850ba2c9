"""The multinomial likelihood of sparse rows at a linear output layer, block by block.

The layer's product, the softmax and its gradient are one piece of work: blocks of items are
small enough for a core's cache, so that the scores of a batch are read and written there and
reach main memory once. Nothing of the size of the scores is allocated in a step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.vae.gradients import attached
from nearfar.vae.rows import Rows

BLOCK_BYTES = 1 << 20
"""About the scores of one block on a CPU: they should stay in the cores' second-level caches."""

MIN_WIDTH = 128


@dataclass(eq=False)
class Workspace:
    """Memory for scores that is kept from step to step.

    Attributes:
        limit_bytes: no more scores than this are held at a time; where a batch has more, users
            are taken in parts and their scores are computed again for the gradient, which
            makes four products of three.
        dtype: what the products are computed in; None for the parameters' own. Sums, softmax
            and parameters keep theirs.
    """

    limit_bytes: int = 1 << 29
    dtype: torch.dtype | None = None
    uses: int = 0
    _memory: Tensor | None = field(default=None, repr=False)

    def take(self, n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """`n` numbers; those taken before are lost."""
        self.uses += 1
        memory = self._memory
        if memory is None or memory.dtype != dtype or memory.device != device or len(memory) < n:
            self._memory = None  # the old memory goes before the new comes
            memory = self._memory = torch.empty(n, dtype=dtype, device=device)
        return memory[:n]

    def users_at_once(self, n_users: int, n_items: int, dtype: torch.dtype) -> int:
        """How many users' scores are held at a time."""
        return max(1, min(n_users, self.limit_bytes // (n_items * dtype.itemsize)))


def linear_multinomial_nll(
    hidden: Float[Tensor, "users hidden"],
    weight: Float[Tensor, "items hidden"],
    bias: Float[Tensor, " items"],
    rows: Rows,
    workspace: Workspace,
) -> Float[Tensor, " users"]:
    """-sum_{i in S} log softmax(W h + b)_i, in nats a user (Eq. 1)."""
    return _LinearMultinomialNLL.apply(hidden, weight, bias, rows, workspace)  # pyright: ignore[reportReturnType]


class _LinearMultinomialNLL(torch.autograd.Function):
    """N logsumexp(f) - sum_{i in S} f_i with f = W h + b; its gradient in f is N softmax(f) - x."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, rows: Rows, workspace: Workspace
    ) -> Tensor:
        ctx.save_for_backward(hidden)
        ctx.weight, ctx.bias, ctx.rows, ctx.workspace = weight, bias, rows, workspace
        parts = _parts(rows, weight, workspace)
        found = [_scores(hidden[s:e], weight, bias, part, workspace) for s, e, part in parts]
        ctx.parts, ctx.scores, ctx.uses = parts, found[-1], workspace.uses
        return torch.cat([scores.nll for scores in found])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (hidden,) = ctx.saved_tensors
        weight, bias, workspace = ctx.weight, ctx.bias, ctx.workspace
        gradient = attached(weight)
        kept = gradient.overwritten() if gradient is not None else None
        grad_weight = torch.empty_like(weight) if kept is None else kept
        grad_bias = torch.zeros_like(bias)
        grad_hidden = torch.zeros_like(hidden)
        for i, (start, end, part) in enumerate(ctx.parts):
            # the scores stand if they are this pass's own and nothing took their memory since
            fresh = len(ctx.parts) == 1 and ctx.uses == workspace.uses
            h = hidden[start:end]
            scores = ctx.scores if fresh else _scores(h, weight, bias, part, workspace)
            workspace.uses += 1
            _gradients(
                scores, h, weight, grads[0][start:end], workspace.dtype,
                grad_hidden[start:end], grad_weight, grad_bias, add=i > 0,
            )  # fmt: skip
        return grad_hidden, None if kept is not None else grad_weight, grad_bias, None, None


def _parts(rows: Rows, weight: Tensor, workspace: Workspace) -> list[tuple[int, int, Rows]]:
    dtype = workspace.dtype or weight.dtype
    size = workspace.users_at_once(rows.n_users, weight.shape[0], dtype)
    if size >= rows.n_users:
        return [(0, rows.n_users, rows)]
    starts = range(0, rows.n_users, size)
    return [(s, min(s + size, rows.n_users), rows.part(s, s + size)) for s in starts]


@dataclass(frozen=True, eq=False)
class _Block:
    """Items `start` to before `end`, and which of the rows' entries, by item, are among them."""

    start: int
    end: int
    entries: slice
    values: Float[Tensor, "users width"]


@dataclass(frozen=True, eq=False)
class _Scores:
    """exp(f - top) block by block, `tops` being each user's highest score in the block.

    `places` are the rows' entries, by item, within their block's memory.
    """

    blocks: list[_Block]
    tops: Float[Tensor, "blocks users"]
    log_total: Float[Tensor, " users"]
    places: Tensor
    users: Tensor
    counts: Tensor
    nll: Float[Tensor, " users"]


def _scores(
    hidden: Tensor, weight: Tensor, bias: Tensor, rows: Rows, workspace: Workspace
) -> _Scores:
    n_users, n_items = rows.n_users, rows.n_items
    dtype = workspace.dtype or hidden.dtype
    memory = workspace.take(n_users * n_items, dtype, hidden.device)
    width = _width(n_users, n_items, dtype, hidden.device)
    by_item = rows.by_item
    number = by_item.indices.div(width, rounding_mode="floor")
    widths = (n_items - number * width).clamp(max=width)
    places = by_item.users * widths + by_item.indices - number * width
    starts = range(0, n_items, width)
    bounds = _bounds(number, len(starts))
    h = hidden.to(dtype)
    blocks, tops, totals = [], [], []
    chosen = hidden.new_empty(len(places))
    for i, start in enumerate(starts):
        end = min(start + width, n_items)
        values = memory[start * n_users : end * n_users].view(n_users, end - start)
        w, b = weight[start:end].to(dtype), bias[start:end].to(dtype)
        torch.addmm(b, h, w.T, out=values)
        f = values.to(hidden.dtype)
        entries = slice(bounds[i], bounds[i + 1])
        torch.index_select(f.view(-1), 0, places[entries], out=chosen[entries])
        top = f.amax(1)
        f.sub_(top[:, None]).exp_()
        totals.append(f.sum(1))
        tops.append(top)
        if f is not values:
            values.copy_(f)
        blocks.append(_Block(start, end, entries, values))
    all_tops = torch.stack(tops)
    top = all_tops.amax(0)
    above_top = (torch.stack(totals) * (all_tops - top).exp()).sum(0).log()
    chosen -= top[by_item.users]  # both differences are small where the scores are huge
    counts = rows.counts.to(hidden.dtype)
    nll = counts * above_top - torch.zeros_like(top).index_add_(0, by_item.users, chosen)
    return _Scores(blocks, all_tops, top + above_top, places, by_item.users, counts, nll)


def _gradients(
    scores: _Scores,
    hidden: Tensor,
    weight: Tensor,
    grad: Tensor,
    dtype: torch.dtype | None,
    grad_hidden: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    *,
    add: bool,
) -> None:
    """Turn the exponentials into the gradient in f, and that into the three asked for."""
    factors = (scores.tops - scores.log_total).exp() * (scores.counts * grad)
    ones = -grad[scores.users]
    dtype = dtype or hidden.dtype
    h = hidden.to(dtype)
    for block, factor in zip(scores.blocks, factors, strict=True):
        f = block.values.to(hidden.dtype)
        f.mul_(factor[:, None])
        f.view(-1).index_add_(0, scores.places[block.entries], ones[block.entries])
        grad_bias[block.start : block.end] += f.sum(0)
        g = f.to(dtype)
        w = weight[block.start : block.end].to(dtype)
        out = grad_weight[block.start : block.end]
        if dtype == hidden.dtype:
            grad_hidden.addmm_(g, w)
            torch.addmm(out, g.T, h, beta=int(add), out=out)
        else:
            grad_hidden += g @ w
            product = g.T @ h
            out.copy_(product + out if add else product)


def _width(n_users: int, n_items: int, dtype: torch.dtype, device: torch.device) -> int:
    """Items a block: all of them on a GPU, whose products want to be large."""
    if device.type != "cpu":
        return n_items
    fitting = BLOCK_BYTES // (n_users * dtype.itemsize)
    return min(n_items, max(MIN_WIDTH, fitting // 64 * 64))


def _bounds(numbers: Tensor, n_blocks: int) -> list[int]:
    """Where each block's entries begin, of entries sorted by block."""
    if n_blocks == 1:
        return [0, len(numbers)]
    starts = torch.arange(n_blocks + 1, device=numbers.device)
    return torch.searchsorted(numbers, starts).tolist()
