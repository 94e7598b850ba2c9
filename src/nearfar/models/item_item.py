"""The item-item model: a history times a square matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.errors import ArtefactError
from nearfar.models.model import Model


class ItemItem(Model):
    """A model with scores = x B for a history x.

    Args:
        weights: B; row i is what an interaction with item i adds to every item's score.

    Examples:
        >>> model = nf.ItemItem(np.eye(20, dtype=np.float32), split.train.item_counts, 40)
        >>> model.score(split.test.fold_in.x).shape
        (10, 20)
    """

    def __init__(
        self,
        weights: Float[np.ndarray, "items items"],
        popularity: Int[np.ndarray, " items"],
        n_train_users: int,
    ) -> None:
        super().__init__(popularity, n_train_users)
        self.weights = weights

    def _write_scores(self, histories: csr_array, out: Float[Tensor, "users items"]) -> None:
        out[:] = torch.nn.functional.embedding_bag(
            torch.from_numpy(histories.indices.astype(np.int64)),
            torch.from_numpy(self.weights),
            torch.from_numpy(histories.indptr.astype(np.int64)),
            mode="sum",
            include_last_offset=True,
        )

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, {"weights": self.weights}

    @classmethod
    def restore(
        cls,
        description: dict[str, Any],
        arrays: dict[str, np.ndarray],
        popularity: Int[np.ndarray, " items"],
        n_train_users: int,
    ) -> ItemItem:
        weights = arrays.get("weights")
        if weights is None or weights.shape != (len(popularity), len(popularity)):
            n = len(popularity)
            raise ArtefactError(
                f"an item-item model needs a square array 'weights' of shape ({n}, {n})"
            )
        return cls(weights, popularity, n_train_users)
