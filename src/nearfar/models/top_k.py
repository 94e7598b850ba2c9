"""Select the candidate items and rank the best k per user; the lower index wins a tie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.ranking import Ranking

GROUP = 4
"""Columns per group. Of 4, 8 and 16, 4 is fastest at 20,108 columns and k = 100 and 200."""

LAST_ITEM = (1 << 32) - 1
"""The largest item position that fits in the 32 bits of a packed key; see `packed`."""

PACKED_COLUMNS = 1 << 16
"""Columns that 16 bits can number: a bfloat16 score takes the other half of an int32."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The items that may be recommended.

    Attributes:
        banned: positions of items that are recommended to no user.
    """

    banned: Int[np.ndarray, " banned"]

    @classmethod
    def of(
        cls,
        n_items: int,
        allow: Int[np.ndarray, " allowed"] | None = None,
        deny: Int[np.ndarray, " denied"] | None = None,
    ) -> Candidates:
        """Return the candidates: the allowed items (None allows all) without the denied ones."""
        banned = np.full(n_items, allow is not None)
        if allow is not None:
            banned[allow] = False
        if deny is not None:
            banned[deny] = True
        return cls(np.flatnonzero(banned))

    def apply(self, scores: Tensor, excluded: csr_array | None) -> None:
        """Set the scores of banned items and of each user's excluded items to -inf, in place.

        Args:
            scores: users x items.
            excluded: users x items; the items to leave out for each user.
        """
        if excluded is not None and excluded.nnz:
            counts = torch.from_numpy(np.diff(excluded.indptr).astype(np.int64))
            starts = torch.arange(0, scores.numel(), scores.shape[1])
            positions = torch.repeat_interleave(starts, counts)
            positions += torch.from_numpy(excluded.indices)
            scores.view(-1).index_fill_(0, positions.to(scores.device), float("-inf"))
        if len(self.banned):
            banned = torch.from_numpy(self.banned).to(scores.device)
            scores.index_fill_(1, banned, float("-inf"))


def rank(
    scores: Float[Tensor, "users items"], k: int
) -> tuple[Int64[Tensor, "users k"], Float[Tensor, "users k"]]:
    """Return the item positions and scores of each row's best k, best first.

    The lower index wins a tie. An item with score -inf or NaN is not ranked: a row with fewer than
    k other items ends in position -1 and score -inf.
    """
    n_items = scores.shape[1]
    if scores.device.type != "cpu" and scores.dtype == torch.float32:
        # No two keys are equal, so no tie has to be looked for; that would wait for the GPU.
        clean = scores.nan_to_num(nan=float("-inf"), posinf=float("inf"), neginf=float("-inf"))
        keys = packed(torch.arange(n_items, device=scores.device)[None], clean)
        return unpacked(torch.topk(keys, k, dim=1).values)
    items = best(scores, min(k + 1, n_items))
    values = scores.gather(1, items)
    if values.isnan().any():
        scores = scores.nan_to_num(nan=float("-inf"), posinf=float("inf"), neginf=float("-inf"))
        items = best(scores, min(k + 1, n_items))
        values = scores.gather(1, items)
    if n_items > k:
        # `best` returns any of the items that tie at the last place; take the lowest ones instead.
        values, order = values.sort(dim=1, descending=True)
        items = items.gather(1, order)
        last, next_best = values[:, k - 1 : k], values[:, k]
        tied = (last[:, 0] == next_best) & (next_best > float("-inf"))
        items = items[:, :k]
        if tied.any():
            items = items.clone()
            items[tied] = _lowest_of_ties(scores[tied], last[tied], k)
    return ordered(items, scores)


def ranking(scores: Float[Tensor, "users items"], k: int) -> Ranking:
    """Return the best k of every row as a `Ranking`; k may exceed the number of items."""
    n_places = min(k, scores.shape[1])
    items = np.full((len(scores), k), -1, np.int64)
    values = np.full(items.shape, -np.inf, np.float32)
    best_items, best_values = rank(scores, n_places)
    items[:, :n_places] = best_items.cpu().numpy()
    values[:, :n_places] = best_values.cpu().numpy()
    return Ranking(items, values)


def ordered(
    items: Int64[Tensor, "users k"], scores: Float[Tensor, "users items"]
) -> tuple[Int64[Tensor, "users k"], Float[Tensor, "users k"]]:
    """Sort each row's items by score, best first and ties by index; items at -inf become -1."""
    return by_score(items, scores.gather(1, items))


def by_score(
    items: Int64[Tensor, "users k"], values: Float[Tensor, "users k"]
) -> tuple[Int64[Tensor, "users k"], Float[Tensor, "users k"]]:
    """Sort items by `values`, their scores, in the order of `ordered`; no value may be NaN."""
    if values.device.type == "cpu" and values.dtype == torch.float32:
        keys = packed(items, values)
        keys.numpy().sort(axis=1)  # NumPy's sort is vectorised
        return unpacked(keys.flip(1))
    items, order = items.sort(1)
    values = values.gather(1, order)
    order = torch.argsort(values, dim=1, descending=True, stable=True)
    items, values = items.gather(1, order), values.gather(1, order)
    return items.masked_fill(values == float("-inf"), -1), values


def packed(
    items: Int64[Tensor, "#users places"], values: Float[Tensor, "users places"]
) -> Int64[Tensor, "users places"]:
    """Return integers that sort as float32 scores do, and ties by descending item.

    The upper 32 bits hold the score, which must not be NaN, and the lower ones `LAST_ITEM - item`.
    """
    bits = (values + 0.0).view(torch.int32).long()  # + 0.0 turns -0.0 into 0.0
    return torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits) << 32 | (LAST_ITEM - items)


def unpacked(
    keys: Int64[Tensor, "users places"],
) -> tuple[Int64[Tensor, "users places"], Float[Tensor, "users places"]]:
    """Return the items and scores of keys from `packed`; items at -inf become -1."""
    items = LAST_ITEM - (keys & LAST_ITEM)
    bits = (keys >> 32).int()
    values = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).view(torch.float32)
    return items.masked_fill(values == float("-inf"), -1), values


def best(scores: Float[Tensor, "users items"], k: int) -> Int64[Tensor, "users k"]:
    """Return the positions of each row's best k, unordered; any of those that tie for place k.

    A float32 NaN ranks above all numbers. Wide rows are cut into groups first: the best k lie in
    the k groups with the largest maxima.
    """
    n = scores.shape[1]
    if n < 2 * GROUP * k:
        return _partition(scores, k)
    n_groups = n // GROUP
    whole = n_groups * GROUP
    # A group is every n_groups-th column, so that neighbours, often alike, are in different groups.
    maxima = scores[:, :whole].view(-1, GROUP, n_groups).amax(1)
    steps = torch.arange(0, whole, n_groups, device=scores.device)
    members = (best(maxima, k)[:, :, None] + steps).flatten(1)
    if whole < n:
        ungrouped = torch.arange(whole, n, device=scores.device).expand(len(scores), -1)
        members = torch.cat([members, ungrouped], 1)
    return members.gather(1, _partition(scores.gather(1, members), k))


def _partition(scores: Float[Tensor, "users columns"], k: int) -> Int64[Tensor, "users k"]:
    """Do `best` without groups; NumPy's partition is vectorised, `torch.topk` is not."""
    n = scores.shape[1]
    if scores.device.type != "cpu" or k == n:
        return torch.topk(scores, k, dim=1, sorted=False).indices
    if scores.dtype == torch.float32:
        order = np.argpartition(scores.detach().numpy(), n - k, axis=1)
        return torch.from_numpy(order[:, n - k :])
    if scores.dtype != torch.bfloat16 or n > PACKED_COLUMNS:
        return torch.topk(scores, k, dim=1, sorted=False).indices
    # The upper 16 bits hold the score and the lower ones the column. The bits of negative floats
    # are inverted because their order as integers is reversed.
    bits = scores.view(torch.int16).to(torch.int32)
    keys = torch.where(bits < 0, bits ^ 0x7FFF, bits).bitwise_left_shift_(16)
    keys.bitwise_or_(torch.arange(n, dtype=torch.int32))
    keys.numpy().partition(n - k, axis=1)
    return (keys[:, n - k :] & 0xFFFF).long()


def _lowest_of_ties(scores: Tensor, last: Tensor, k: int) -> Tensor:
    above, equal = scores > last, scores == last
    n_places_left = k - above.sum(1, keepdim=True)
    selected = above | (equal & (equal.cumsum(1) <= n_places_left))
    return selected.nonzero()[:, 1].view(-1, k)
