"""Which items may be recommended to whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from scipy.sparse import csr_array
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Candidates:
    """Items of a list or all, but those denied and those that a user is not to be given.

    Attributes:
        banned: item positions that nobody is recommended.
    """

    banned: Int[np.ndarray, " banned"]

    @classmethod
    def of(
        cls,
        n_items: int,
        allow: Int[np.ndarray, " allowed"] | None = None,
        deny: Int[np.ndarray, " denied"] | None = None,
    ) -> Candidates:
        """Candidates of a catalogue, by the items that are allowed (None: all) and denied."""
        banned = np.full(n_items, allow is not None)
        if allow is not None:
            banned[allow] = False
        if deny is not None:
            banned[deny] = True
        return cls(np.flatnonzero(banned))

    def apply(self, scores: Tensor, excluded: csr_array | None) -> None:
        """Set what is no candidate to -inf, in place; `excluded` holds each user's own items."""
        if excluded is not None and excluded.nnz:
            counts = torch.from_numpy(np.diff(excluded.indptr).astype(np.int64))
            starts = torch.arange(0, scores.numel(), scores.shape[1])
            places = torch.repeat_interleave(starts, counts)
            places += torch.from_numpy(excluded.indices)
            scores.view(-1).index_fill_(0, places.to(scores.device), float("-inf"))
        if len(self.banned):
            banned = torch.from_numpy(self.banned).to(scores.device)
            scores.index_fill_(1, banned, float("-inf"))
