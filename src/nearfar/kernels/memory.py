"""Memory for large tensors."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor


def empty(shape: tuple[int, ...], like: Tensor | None = None) -> Tensor:
    """An uninitialised tensor, float32 on the CPU or of another tensor's dtype and device.

    On Linux, NumPy asks for huge pages for large arrays, which PyTorch does not unless its
    environment says so; without them, gathering rows of a large table mostly waits for page
    tables: at MovieLens-20M's size about 5 milliseconds of a step of 250.
    """
    if like is not None and (like.device.type != "cpu" or like.dtype not in NUMPY_TYPES):
        return torch.empty(shape, dtype=like.dtype, device=like.device)
    dtype = np.float32 if like is None else NUMPY_TYPES[like.dtype]
    return torch.from_numpy(np.empty(shape, dtype))


NUMPY_TYPES = {torch.float32: np.float32, torch.float64: np.float64}


def uploaded(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on `device`, by way of pinned memory: nobody waits for a GPU."""
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def zeros_like(tensor: Tensor) -> Tensor:
    """Zeros of the same shape, dtype and device."""
    return empty(tuple(tensor.shape), tensor).zero_()


@dataclass(eq=False)
class Workspace:
    """Memory for scores that is kept from step to step.

    Attributes:
        limit_bytes: no more scores than this are held at a time; where a batch has more, users
            are taken in parts and their scores are computed again for the gradient, at the cost
            of four products instead of three.
        dtype: what the products are computed in; None for the parameters' own. Sums, softmax
            and parameters keep theirs. A copy of the layer's weights in it is kept too.
        fused: whether the multinomial likelihood is computed without scores in memory, by Triton
            on a GPU, where it can be; see `kernels.fused_softmax`.
    """

    limit_bytes: int = 1 << 29
    dtype: torch.dtype | None = None
    fused: bool = False
    uses: int = 0
    _memory: Tensor | None = field(default=None, repr=False)
    _rounded: Tensor | None = field(default=None, repr=False)

    def take(self, n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """`n` numbers; those taken before are lost."""
        self.uses += 1
        memory = self._memory
        if memory is None or memory.dtype != dtype or memory.device != device or len(memory) < n:
            self._memory = None  # the old memory goes before the new comes
            memory = self._memory = empty((n,), torch.empty(0, dtype=dtype, device=device))
        return memory[:n]

    def rounded(self, weight: Tensor) -> Tensor:
        """Return `weight` in the products' precision; what was rounded before is lost."""
        if self.dtype is None or weight.dtype == self.dtype:
            return weight
        copy = self._rounded
        if copy is None or copy.shape != weight.shape or copy.device != weight.device:
            copy = self._rounded = torch.empty_like(weight, dtype=self.dtype)
        return copy.copy_(weight)

    def release(self) -> None:
        """Give the memory back."""
        self.uses += 1
        self._memory = self._rounded = None

    def users_at_once(self, n_users: int, n_items: int, dtype: torch.dtype) -> int:
        """How many users' scores are held at a time."""
        return max(1, min(n_users, self.limit_bytes // (n_items * dtype.itemsize)))
