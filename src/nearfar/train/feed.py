"""Batches of histories, prepared while the previous batch trains."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from scipy.sparse import csr_array

from nearfar.kernels.memory import uploaded
from nearfar.kernels.rows import Rows, SparseMatrix

AHEAD = 2
"""Batches prepared in advance: 2, because some take longer to prepare than others."""

SHARE = 0.5
"""Largest share of a GPU's free memory for keeping the interactions there."""


class Batches(Protocol):
    """An iterable source of batches of training users."""

    def batches(self, order: np.ndarray, batch_size: int, first: int = 0) -> Iterator[Rows]:
        """Iterate over the batches of the users `order`, from batch `first` on."""
        ...


class Feed:
    """Iterates over batches of training users' histories.

    On a CPU a thread slices and transposes the next batches while the current one trains. On a GPU
    the whole matrix is kept there if it fits, and batches are sliced there; their sizes are fixed
    (see `Rows`), so that the CPU does not wait for the GPU.

    Args:
        x: users x items.
        device: device of the batches.
        present_items: transpose only the items present in the batch, also on a GPU. Optimisers
            that leave other rows of a table unchanged need it.
    """

    def __init__(self, x: csr_array, device: torch.device, *, present_items: bool = False) -> None:
        self.x = x
        self.device = device
        self.fixed = device.type != "cpu" and not present_items
        self.resident: SparseMatrix | None = None
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if x.indices.nbytes + x.indptr.nbytes <= SHARE * free:
                self.resident = SparseMatrix.from_csr(x, device)

    def batches(self, order: np.ndarray, batch_size: int, first: int = 0) -> Iterator[Rows]:
        """Yield the histories of the users `order` in batches, from batch `first` on."""
        batches = (
            np.sort(order[start : start + batch_size])
            for start in range(first * batch_size, len(order), batch_size)
        )
        return self.each(batches)

    def each(self, batches: Iterable[np.ndarray]) -> Iterator[Rows]:
        """Yield the histories of each batch, given as an array of ascending user positions."""
        if self.resident is not None:
            yield from (self.resident.take(users, fixed=self.fixed) for users in batches)
            return
        with ThreadPoolExecutor(1, "nearfar-feed") as pool:
            waiting: deque[Future[Rows]] = deque()
            for users in batches:
                waiting.append(pool.submit(self._prepare, users))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _prepare(self, users: np.ndarray) -> Rows:
        rows = Rows.from_csr(self.x, users)
        if self.device.type == "cpu":
            return rows.transposed()
        tensors = (rows.indices, rows.indptr, torch.from_numpy(users))
        indices, indptr, positions = (uploaded(tensor, self.device) for tensor in tensors)
        return Rows(
            indices, indptr, rows.n_items, positions,
            known_limits=rows.known_limits, fixed=self.fixed,
            weights=None if rows.weights is None else uploaded(rows.weights, self.device),
        )  # fmt: skip
