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
    """Items of a list or all, but those denied and, if asked, those that the user has seen.

    Attributes:
        banned: item positions that nobody is recommended.
        exclude_seen: whether a history's own items are left out.
    """

    banned: Int[np.ndarray, " banned"]
    exclude_seen: bool = True

    @classmethod
    def of(
        cls,
        n_items: int,
        exclude_seen: bool,
        allow: Int[np.ndarray, " allowed"] | None = None,
        deny: Int[np.ndarray, " denied"] | None = None,
    ) -> Candidates:
        """Candidates of a catalogue, by the items that are allowed (None: all) and denied."""
        banned = np.full(n_items, allow is not None)
        if allow is not None:
            banned[allow] = False
        if deny is not None:
            banned[deny] = True
        return cls(np.flatnonzero(banned), exclude_seen)

    def apply(self, scores: Tensor, histories: csr_array) -> None:
        """Set what is no candidate to -inf, in place."""
        if self.exclude_seen and histories.nnz:
            counts = torch.from_numpy(np.diff(histories.indptr).astype(np.int64))
            starts = torch.arange(0, scores.numel(), scores.shape[1])
            places = torch.repeat_interleave(starts, counts)
            places += torch.from_numpy(histories.indices)
            scores.view(-1).index_fill_(0, places.to(scores.device), float("-inf"))
        if len(self.banned):
            banned = torch.from_numpy(self.banned).to(scores.device)
            scores.index_fill_(1, banned, float("-inf"))
