"""The constant model: the same scores for everyone."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.models.model import Model


class Constant(Model):
    """A model that gives every history the same scores: the popularity of the items."""

    def _write_scores(self, histories: csr_array, out: Float[Tensor, "users items"]) -> None:
        out[:] = torch.from_numpy(self.popularity.astype(np.float32))

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, {}

    @classmethod
    def restore(
        cls,
        description: dict[str, Any],
        arrays: dict[str, np.ndarray],
        popularity: Int[np.ndarray, " items"],
        n_train_users: int,
    ) -> Constant:
        return cls(popularity, n_train_users)
