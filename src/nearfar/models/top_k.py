"""Which items are candidates, and the best k of them for every user, ties broken by index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.ranking import Ranking

GROUP = 4
"""Columns per group: of 4, 8 and 16 the fastest at 20,108 columns and k = 100 and 200."""

LAST_ITEM = (1 << 32) - 1
"""Items are counted by 32 bits where they are sorted with their scores."""

PACKED_COLUMNS = 1 << 16
"""So many columns are told apart by the half of an int32 that a bfloat16 leaves free."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Items of a list or all, but those denied and those that a user is not to be given.

    Attributes:
        banned: item positions that nobody is recommended.
    """

    banned: Int[np.ndarray, " banned"]

    @classmethod
    def of(
        cls,
        n_items: int,
        allow: Int[np.ndarray, " allowed"] | None = None,
        deny: Int[np.ndarray, " denied"] | None = None,
    ) -> Candidates:
        """Candidates of a catalogue, by the items that are allowed (None: all) and denied."""
        banned = np.full(n_items, allow is not None)
        if allow is not None:
            banned[allow] = False
        if deny is not None:
            banned[deny] = True
        return cls(np.flatnonzero(banned))

    def apply(self, scores: Tensor, excluded: csr_array | None) -> None:
        """Set what is no candidate to -inf, in place; `excluded` holds each user's own items."""
        if excluded is not None and excluded.nnz:
            counts = torch.from_numpy(np.diff(excluded.indptr).astype(np.int64))
            starts = torch.arange(0, scores.numel(), scores.shape[1])
            places = torch.repeat_interleave(starts, counts)
            places += torch.from_numpy(excluded.indices)
            scores.view(-1).index_fill_(0, places.to(scores.device), float("-inf"))
        if len(self.banned):
            banned = torch.from_numpy(self.banned).to(scores.device)
            scores.index_fill_(1, banned, float("-inf"))


def rank(
    scores: Float[Tensor, "users items"], k: int
) -> tuple[Int64[Tensor, "users k"], Float[Tensor, "users k"]]:
    """Item positions and scores of each row's best k, best first; the lower index wins a tie.

    -inf marks what is no candidate: rows with fewer than k candidates end in -1 and -inf.
    NaN is no candidate either.
    """
    n_items = scores.shape[1]
    if scores.device.type != "cpu" and scores.dtype == torch.float32:
        # by keys in which no two are equal: without a look at ties, for which a CPU would wait
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
        # any of the items that tie with the last place may be there: choose again, lowest first
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
    """The best k of every row as by `rank`; k may be more than there are items."""
    n_places = min(k, scores.shape[1])
    items = np.full((len(scores), k), -1, np.int64)
    values = np.full(items.shape, -np.inf, np.float32)
    found, of_found = rank(scores, n_places)
    items[:, :n_places], values[:, :n_places] = found.cpu().numpy(), of_found.cpu().numpy()
    return Ranking(items, values)


def ordered(
    items: Int64[Tensor, "users k"], scores: Float[Tensor, "users items"]
) -> tuple[Int64[Tensor, "users k"], Float[Tensor, "users k"]]:
    """These items by score, best first, the lower index first of equals; -1 for -inf."""
    return by_score(items, scores.gather(1, items))


def by_score(
    items: Int64[Tensor, "users k"], values: Float[Tensor, "users k"]
) -> tuple[Int64[Tensor, "users k"], Float[Tensor, "users k"]]:
    """Items and their own scores, none of them NaN, in the order of `ordered`."""
    if values.device.type == "cpu" and values.dtype == torch.float32:
        keys = packed(items, values)
        keys.numpy().sort(axis=1)  # vectorised
        return unpacked(keys.flip(1))
    items, order = items.sort(1)
    values = values.gather(1, order)
    order = torch.argsort(values, dim=1, descending=True, stable=True)
    items, values = items.gather(1, order), values.gather(1, order)
    return items.masked_fill(values == float("-inf"), -1), values


def packed(
    items: Int64[Tensor, "#users places"], values: Float[Tensor, "users places"]
) -> Int64[Tensor, "users places"]:
    """Integers in the order of float32 scores, none NaN: score above, item's complement below."""
    bits = (values + 0.0).view(torch.int32).long()  # + 0.0 makes one zero of two
    return torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits) << 32 | (LAST_ITEM - items)


def unpacked(
    keys: Int64[Tensor, "users places"],
) -> tuple[Int64[Tensor, "users places"], Float[Tensor, "users places"]]:
    """The inverse of `packed`; the item of -inf is -1."""
    items = LAST_ITEM - (keys & LAST_ITEM)
    bits = (keys >> 32).int()
    values = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).view(torch.float32)
    return items.masked_fill(values == float("-inf"), -1), values


def best(scores: Float[Tensor, "users items"], k: int) -> Int64[Tensor, "users k"]:
    """Positions of each row's best k in no order; of equals at the last place, any.

    A float32 NaN is best. Wide rows are cut into groups first: the best k lie in the k groups
    with the best maxima.
    """
    n = scores.shape[1]
    if n < 2 * GROUP * k:
        return _partitioned(scores, k)
    n_groups = n // GROUP
    whole = n_groups * GROUP
    # a group is every n_groups-th column: neighbours, often alike, fall into different groups
    maxima = scores[:, :whole].view(-1, GROUP, n_groups).amax(1)
    steps = torch.arange(0, whole, n_groups, device=scores.device)
    members = (best(maxima, k)[:, :, None] + steps).flatten(1)
    if whole < n:
        rest = torch.arange(whole, n, device=scores.device).expand(len(scores), -1)
        members = torch.cat([members, rest], 1)
    return members.gather(1, _partitioned(scores.gather(1, members), k))


def _partitioned(scores: Float[Tensor, "users columns"], k: int) -> Int64[Tensor, "users k"]:
    """`best` without groups; NumPy's partition is vectorised, `torch.topk` is not."""
    n = scores.shape[1]
    if scores.device.type != "cpu" or k == n:
        return torch.topk(scores, k, dim=1, sorted=False).indices
    if scores.dtype == torch.float32:
        order = np.argpartition(scores.detach().numpy(), n - k, axis=1)
        return torch.from_numpy(order[:, n - k :])
    if scores.dtype != torch.bfloat16 or n > PACKED_COLUMNS:
        return torch.topk(scores, k, dim=1, sorted=False).indices
    # an order of integers: score above, column below; negative floats count downwards
    bits = scores.view(torch.int16).to(torch.int32)
    packed = torch.where(bits < 0, bits ^ 0x7FFF, bits).bitwise_left_shift_(16)
    packed.bitwise_or_(torch.arange(n, dtype=torch.int32))
    packed.numpy().partition(n - k, axis=1)
    return (packed[:, n - k :] & 0xFFFF).long()


def _lowest_of_ties(table: Tensor, last: Tensor, k: int) -> Tensor:
    above, equal = table > last, table == last
    room = k - above.sum(1, keepdim=True)
    chosen = above | (equal & (equal.cumsum(1) <= room))
    return chosen.nonzero()[:, 1].view(-1, k)
