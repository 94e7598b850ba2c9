"""Alternating least squares, shared by MF, WMF and GRALS."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.seeding import derive
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import Interactions, canonical
from nearfar.kernels.rows import Rows
from nearfar.train.history import StepReport
from nearfar.train.run import Run


@dataclass(frozen=True, eq=False)
class Sides:
    """Interactions by user and by item on a device, with the items sorted by their ids.

    Sorted, the random factors of an item do not depend on its position in the data. `x` is
    binary; `by_user` and `by_item` have weights where the algorithm uses them.
    """

    x: csr_array
    by_user: Rows
    by_item: Rows
    order: Int[np.ndarray, " items"]

    @classmethod
    def of(cls, train: Interactions, device: torch.device, *, weighted: bool = False) -> Sides:
        order = in_id_order(train.item_ids)
        x = csr_array((train.weighted if weighted else train.x)[:, order])
        x.sort_indices()
        by_item = csr_array(x.T)
        by_user = Rows.from_csr(x, device=device)
        return cls(canonical(x), by_user, Rows.from_csr(by_item, device=device), order)

    @property
    def n_items(self) -> int:
        return self.by_user.n_items

    def initial_factors(self, n_factors: int, scale: float, run: Run) -> Float[Tensor, "items k"]:
        """Return normally distributed item factors; a row has about the length `scale`."""
        rng = torch.Generator().manual_seed(derive(run.seed, "als"))
        factors = torch.randn(self.n_items, n_factors, generator=rng)
        return (factors * (scale / n_factors**0.5)).to(self.by_user.indices.device)

    def in_data_order(self, values: Float[Tensor, "items k"]) -> Float[np.ndarray, "items k"]:
        """Return values per item, float32, with the items in the order of the data."""
        by_id = values.float().cpu().numpy()
        result = np.empty_like(by_id)
        result[self.order] = by_id
        return result


def in_id_order(ids: Vocabulary) -> Int[np.ndarray, " items"]:
    """Return the positions of the ids, from the lowest id to the highest."""
    return ids.ids.arg_sort().to_numpy().astype(np.int64)


def alternate(
    items: Float[Tensor, "items k"],
    iterations: int,
    to_users: Callable[[Tensor], Tensor],
    to_items: Callable[[Tensor, Tensor], Tensor],
    run: Run,
) -> Float[Tensor, "items k"]:
    """Return the item factors after alternating least squares.

    Args:
        items: initial item factors.
        iterations: how often to solve for the users and then for the items.
        to_users: computes user factors from item factors.
        to_items: computes item factors from user factors and the previous item factors.
        run: its callbacks receive a report per iteration.
    """
    for iteration in range(iterations):
        started = time.monotonic()
        users = to_users(items)
        items = to_items(users, items)
        seconds = max(time.monotonic() - started, 1e-9)
        for callback in run.callbacks:
            rate, step = len(users) / seconds, iteration + 1
            callback.step(StepReport(iteration, iterations, 1, 1, {}, rate, step))
    return items
