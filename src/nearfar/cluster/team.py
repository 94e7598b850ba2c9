"""Communication between the workers of a training."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Int64
from torch import Tensor

from nearfar.core import errors
from nearfar.core.errors import NearfarError


class Team:
    """Communicates with the other workers of a training; also works with a single worker.

    Attributes:
        rank: number of this worker, from 0.
        size: number of workers.
    """

    def __init__(self, device: torch.device) -> None:
        is_distributed = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if is_distributed else 0
        self.size = dist.get_world_size() if is_distributed else 1
        self.device = device

    def sum_all(self, values: Tensor) -> Tensor:
        """Replace the values by their sums over all workers, and return them."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def max_all(self, values: Tensor) -> Tensor:
        """Replace the values by their maxima over all workers, and return them."""
        if self.size > 1:
            dist.all_reduce(values, op=dist.ReduceOp.MAX)
        return values

    def sum_on_cpu(self, values: Tensor) -> Tensor:
        """Return the sums over all workers of values on the CPU, which do not change."""
        return self.sum_all(values.to(self.device, copy=True)).cpu()

    def broadcast_first(self, values: Tensor) -> None:
        """Replace the values by the first worker's, in place."""
        if self.size > 1:
            received = values.to(self.device, copy=True)
            dist.broadcast(received, 0)
            values.copy_(received)

    def gather(self, values: np.ndarray) -> np.ndarray:
        """Return the integers of every worker, which have the same shape, stacked by worker."""
        local = torch.from_numpy(np.ascontiguousarray(values, np.int64)).to(self.device)
        if self.size == 1:
            return local[None].cpu().numpy()
        parts = [torch.empty_like(local) for _ in range(self.size)]
        dist.all_gather(parts, local)
        return torch.stack(parts).cpu().numpy()

    def join(self, values: Int64[np.ndarray, " local"]) -> Int64[np.ndarray, " all"]:
        """Return the integers of all workers concatenated; their numbers may differ."""
        lengths = self.gather(np.array([len(values)]))[:, 0]
        padded = np.zeros(int(lengths.max()), np.int64)
        padded[: len(values)] = values
        parts = zip(self.gather(padded), lengths, strict=True)
        return np.concatenate([part[:n] for part, n in parts])

    def run_on_first(self, work: Callable[[], Any]) -> Any:
        """Run `work` on the first worker, and return its JSON-able result on all.

        Raises:
            NearfarError: `work` raised it on the first worker; all workers raise it.
        """
        message = ""
        if self.rank == 0:
            try:
                message = json.dumps({"value": work()})
            except NearfarError as error:
                message = json.dumps({"error": type(error).__name__, "text": str(error)})
        data = np.frombuffer(message.encode(), np.uint8).astype(np.int64)
        result = json.loads(self.join(data).astype(np.uint8).tobytes())
        if "error" in result:
            raise error_of(result["error"], result["text"])
        return result["value"]


def error_of(name: str, text: str) -> NearfarError:
    """Return a nearfar error by its class name; `NearfarError` if it is not built from a text."""
    kind = getattr(errors, name, NearfarError)
    if not issubclass(kind, NearfarError) or kind.__init__ is not NearfarError.__init__:
        kind = NearfarError
    return kind(text)
