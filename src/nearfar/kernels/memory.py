"""Memory for large tensors."""

from __future__ import annotations

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
