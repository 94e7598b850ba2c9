"""Batches of histories, made ready while the one before is trained on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from scipy.sparse import csr_array

from nearfar.vae.rows import Rows, SparseMatrix

AHEAD = 2
"""Batches waiting: one would do if all took as long to prepare."""

SHARE = 0.5
"""The part of a GPU's free memory that the interactions may take to live there."""


class Feed:
    """Training users' histories, a batch at a time.

    On a CPU a thread slices and transposes the next batches while the last one trains. On a GPU
    the whole matrix stays there if it fits, and batches are sliced where they are needed.
    """

    def __init__(self, x: csr_array, device: torch.device) -> None:
        self.device = device
        self.matrix = SparseMatrix.from_csr(x)
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if self.matrix.n_bytes <= SHARE * free:
                self.matrix = SparseMatrix.from_csr(x, device)

    @property
    def resident(self) -> bool:
        """Whether the matrix is on the GPU."""
        return self.matrix.indices.device.type == "cuda"

    def batches(self, order: np.ndarray, batch_size: int, first: int = 0) -> Iterator[Rows]:
        """The histories of the users `order`, `batch_size` at a time, from batch `first` on."""
        starts = iter(range(first * batch_size, len(order), batch_size))

        def prepare(start: int) -> Rows:
            users = torch.from_numpy(np.sort(order[start : start + batch_size]))
            return self._ready(self.matrix.take(users))

        if self.resident:
            yield from map(prepare, starts)
            return
        with ThreadPoolExecutor(1, "nearfar-feed") as pool:
            waiting: deque[Future[Rows]] = deque()
            for start in starts:
                waiting.append(pool.submit(prepare, start))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _ready(self, rows: Rows) -> Rows:
        if self.device.type == "cuda" and not self.resident:
            pinned = [t.pin_memory().to(self.device, non_blocking=True)
                      for t in (rows.indices, rows.indptr)]  # fmt: skip
            rows = Rows(pinned[0], pinned[1], rows.n_items)
        rows.by_item  # noqa: B018 - made here, ahead of the step that needs it
        return rows
