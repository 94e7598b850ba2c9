"""Allocate memory for large tensors, and reuse it from step to step."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor


def empty(shape: tuple[int, ...], like: Tensor | None = None) -> Tensor:
    """Return an uninitialised tensor, float32 on the CPU or with the dtype and device of `like`.

    On Linux, NumPy requests huge pages for large arrays, which PyTorch does only if an environment
    variable says so. Without them, gathering rows of a large table mostly waits for page tables:
    at MovieLens-20M's size about 5 milliseconds of a step of 250.
    """
    if like is not None and (like.device.type != "cpu" or like.dtype not in NUMPY_TYPES):
        return torch.empty(shape, dtype=like.dtype, device=like.device)
    dtype = np.float32 if like is None else NUMPY_TYPES[like.dtype]
    return torch.from_numpy(np.empty(shape, dtype))


NUMPY_TYPES = {torch.float32: np.float32, torch.float64: np.float64}


def uploaded(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a CPU tensor to `device` through pinned memory, without waiting for a GPU."""
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def zeros_like(tensor: Tensor) -> Tensor:
    """Return zeros with the same shape, dtype and device."""
    return empty(tuple(tensor.shape), tensor).zero_()


@dataclass(eq=False)
class Workspace:
    """Memory for scores that is reused from step to step.

    Attributes:
        limit_bytes: largest size of the scores held at once. A larger batch is processed in parts,
            whose scores are computed again for the gradient, at the cost of four products instead
            of three.
        dtype: precision of the products; None for that of the parameters. Sums, softmax and
            parameters are not affected. A copy of the layer's weights in this precision is kept.
        fused: whether Triton computes the multinomial likelihood on a GPU without scores in
            memory, where possible; see `kernels.fused_softmax`.
        uses: counts how often the memory was taken or released.
    """

    limit_bytes: int = 1 << 29
    dtype: torch.dtype | None = None
    fused: bool = False
    uses: int = 0
    _memory: Tensor | None = field(default=None, repr=False)
    _rounded: Tensor | None = field(default=None, repr=False)

    def take(self, n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return memory for `n` numbers; it may overwrite what was taken before."""
        self.uses += 1
        memory = self._memory
        if memory is None or memory.dtype != dtype or memory.device != device or len(memory) < n:
            self._memory = None  # frees the old memory before the new is allocated
            memory = self._memory = empty((n,), torch.empty(0, dtype=dtype, device=device))
        return memory[:n]

    def rounded(self, weight: Tensor) -> Tensor:
        """Return `weight` in the precision of the products; it overwrites what was returned before.

        If the precision is that of `weight`, this returns `weight` itself.
        """
        if self.dtype is None or weight.dtype == self.dtype:
            return weight
        copy = self._rounded
        if copy is None or copy.shape != weight.shape or copy.device != weight.device:
            copy = self._rounded = torch.empty_like(weight, dtype=self.dtype)
        return copy.copy_(weight)

    def release(self) -> None:
        """Free the memory."""
        self.uses += 1
        self._memory = self._rounded = None

    def users_at_once(self, n_users: int, n_items: int, dtype: torch.dtype) -> int:
        """Return the number of users whose scores are held at once."""
        return max(1, min(n_users, self.limit_bytes // (n_items * dtype.itemsize)))
