"""Batches of histories, made ready while the one before is trained on."""

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
"""Batches waiting: one would do if all took as long to prepare."""

SHARE = 0.5
"""The part of a GPU's free memory that the interactions may take to live there."""


class Batches(Protocol):
    """Where batches of training users come from."""

    def batches(self, order: np.ndarray, batch_size: int, first: int = 0) -> Iterator[Rows]:
        """Iterate over the batches of the users `order`, from batch `first` on."""
        ...


class Feed:
    """Training users' histories, a batch at a time.

    On a CPU a thread slices and transposes the next batches while the last one trains. On a GPU
    the whole matrix stays there if it fits, and batches are sliced where they are needed; their
    sizes are fixed (see `Rows`), so that the CPU need not wait for the GPU.

    Args:
        x: users x items.
        device: where batches go.
        present_items: whether transposes must be of the items present alone, on a GPU too:
            optimisers that leave other rows of a table as they are need that.
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
        """The histories of the users `order`, `batch_size` at a time, from batch `first` on."""
        parts = (
            np.sort(order[start : start + batch_size])
            for start in range(first * batch_size, len(order), batch_size)
        )
        return self.each(parts)

    def each(self, parts: Iterable[np.ndarray]) -> Iterator[Rows]:
        """The histories of the users at these ascending positions, a batch an array."""
        if self.resident is not None:
            yield from (self.resident.take(users, fixed=self.fixed) for users in parts)
            return
        with ThreadPoolExecutor(1, "nearfar-feed") as pool:
            waiting: deque[Future[Rows]] = deque()
            for users in parts:
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
