"""Alternating least squares: what MF, WMF and GRALS share."""

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
    """Histories by user and by item on a device, with the items in the order of their ids.

    What is drawn for an item then does not depend on where the data has it. `x` has ones alone;
    the rows have weights where these are used.
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

    def start(self, n_factors: int, scale: float, run: Run) -> Float[Tensor, "items k"]:
        """Normal item factors whose rows have about the length `scale`."""
        rng = torch.Generator().manual_seed(derive(run.seed, "als"))
        drawn = torch.randn(self.n_items, n_factors, generator=rng)
        return (drawn * (scale / n_factors**0.5)).to(self.by_user.indices.device)

    def as_in_data(self, values: Float[Tensor, "items k"]) -> Float[np.ndarray, "items k"]:
        """What was found for each item, in the order of the data, float32."""
        found = values.float().cpu().numpy()
        result = np.empty_like(found)
        result[self.order] = found
        return result


def in_id_order(ids: Vocabulary) -> Int[np.ndarray, " items"]:
    """The positions of the ids from the lowest to the highest."""
    return ids.ids.arg_sort().to_numpy().astype(np.int64)


def alternate(
    items: Float[Tensor, "items k"],
    iterations: int,
    to_users: Callable[[Tensor], Tensor],
    to_items: Callable[[Tensor, Tensor], Tensor],
    run: Run,
) -> Float[Tensor, "items k"]:
    """The items' factors after so many iterations of two half steps each.

    Args:
        items: where they start.
        iterations: how often each side is solved for.
        to_users: the users' factors from the items'.
        to_items: the items' factors from the users' and the items' last.
        run: whose callbacks receive each iteration.
    """
    for iteration in range(iterations):
        began = time.monotonic()
        users = to_users(items)
        items = to_items(users, items)
        seconds = max(time.monotonic() - began, 1e-9)
        for callback in run.callbacks:
            rate, step = len(users) / seconds, iteration + 1
            callback.step(StepReport(iteration, iterations, 1, 1, {}, rate, step))
    return items
