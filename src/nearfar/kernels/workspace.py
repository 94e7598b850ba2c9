"""Memory for scores that is kept from step to step."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from nearfar.kernels.memory import empty


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
