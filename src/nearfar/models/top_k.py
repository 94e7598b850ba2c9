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
    n_items = table.shape[1]
    values, items = torch.topk(table, min(k + 1, n_items), dim=1)
    if n_items > k:
        # topk chooses freely among items that tie with the last place: choose again, lowest first.
        last, next_best = values[:, k - 1 : k], values[:, k]
        tied = (last[:, 0] == next_best) & (next_best > float("-inf"))
        values, items = values[:, :k], items[:, :k]
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
