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
    """The workers of a training, as one of them sees them; alone where there is no other.

    Attributes:
        rank: this worker's number.
        size: how many there are.
    """

    def __init__(self, device: torch.device) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if together else 0
        self.size = dist.get_world_size() if together else 1
        self.device = device

    def add_up(self, values: Tensor) -> Tensor:
        """The sums over all workers, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def greatest(self, values: Tensor) -> Tensor:
        """The greatest over all workers, in place."""
        if self.size > 1:
            dist.all_reduce(values, op=dist.ReduceOp.MAX)
        return values

    def add_up_apart(self, values: Tensor) -> Tensor:
        """Return the sums over all workers, of numbers that lie on the CPU."""
        return self.add_up(values.to(self.device, copy=True)).cpu()

    def take_first(self, values: Tensor) -> None:
        """Replace the values by the first worker's, in place."""
        if self.size > 1:
            here = values.to(self.device, copy=True)
            dist.broadcast(here, 0)
            values.copy_(here)

    def gather(self, values: np.ndarray) -> np.ndarray:
        """Every worker's whole numbers, of one shape for all: workers x that shape."""
        own = torch.from_numpy(np.ascontiguousarray(values, np.int64)).to(self.device)
        if self.size == 1:
            return own[None].cpu().numpy()
        found = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(found, own)
        return torch.stack(found).cpu().numpy()

    def join(self, values: Int64[np.ndarray, " own"]) -> Int64[np.ndarray, " all"]:
        """Every worker's numbers one after the other, however many each has."""
        lengths = self.gather(np.array([len(values)]))[:, 0]
        padded = np.zeros(int(lengths.max()), np.int64)
        padded[: len(values)] = values
        parts = zip(self.gather(padded), lengths, strict=True)
        return np.concatenate([part[:n] for part, n in parts])

    def of_first(self, work: Callable[[], Any]) -> Any:
        """What the first worker's `work` returns, a JSON-able value, for all.

        Raises:
            NearfarError: the first worker's `work` did; all raise it.
        """
        told = ""
        if self.rank == 0:
            try:
                told = json.dumps({"value": work()})
            except NearfarError as error:
                told = json.dumps({"error": type(error).__name__, "text": str(error)})
        text = np.frombuffer(told.encode(), np.uint8).astype(np.int64)
        found = json.loads(self.join(text).astype(np.uint8).tobytes())
        if "error" in found:
            raise error_of(found["error"], found["text"])
        return found["value"]


def error_of(name: str, text: str) -> NearfarError:
    """One of nearfar's errors by its name; those that are made from other things by their base."""
    kind = getattr(errors, name, NearfarError)
    if not issubclass(kind, NearfarError) or kind.__init__ is not NearfarError.__init__:
        kind = NearfarError
    return kind(text)
