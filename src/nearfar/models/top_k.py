"""The best k of every row, with ties broken by index."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int


def rank(
    scores: Float[np.ndarray, "users items"], k: int
) -> tuple[Int[np.ndarray, "users k"], Float[np.ndarray, "users k"]]:
    """Item positions and scores of each row's best k, best first; the lower index wins a tie.

    -inf marks what is no candidate: rows with fewer than k candidates end in -1 and -inf.
    NaN is no candidate either.
    """
    table = torch.from_numpy(scores)
    table.nan_to_num_(nan=float("-inf"), posinf=float("inf"), neginf=float("-inf"))
    values, items = torch.topk(table, k, dim=1)
    last = values[:, -1:]
    # topk chooses freely among items that tie with the last place: choose again, lowest first.
    tied = ((table >= last).sum(1) > k) & (last[:, 0] > float("-inf"))
    if tied.any():
        items[tied] = _lowest_of_ties(table[tied], last[tied], k)
    items = items.sort(1).values
    values = table.gather(1, items)
    order = torch.argsort(values, dim=1, descending=True, stable=True)
    items, values = items.gather(1, order), values.gather(1, order)
    items[values == float("-inf")] = -1
    return items.numpy(), values.numpy()


def _lowest_of_ties(table: torch.Tensor, last: torch.Tensor, k: int) -> torch.Tensor:
    above, equal = table > last, table == last
    room = k - above.sum(1, keepdim=True)
    chosen = above | (equal & (equal.cumsum(1) <= room))
    return chosen.nonzero()[:, 1].view(-1, k)
