"""User and item vectors of models whose scores are inner products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.ranking import Ranking
from nearfar.kernels.products import affine_into
from nearfar.kernels.rows import Rows
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.factors import Factors
from nearfar.models.model import Model
from nearfar.models.top_k import by_score

WIDTH_STEP = 16
"""Products are padded to a multiple of this many columns. Otherwise another routine, which adds in
another order, computes the last columns, and scores differ in their last bit."""


@dataclass(frozen=True, eq=False)
class InnerProducts:
    """User and item vectors of a model: score = hidden(history) . weight[item] + bias[item].

    Attributes:
        weight: the items' rows of the decoder's last layer, or their factors.
        bias: the items' biases.
        hidden: computes user vectors, on the model's device, from canonical histories.
    """

    weight: Float[Tensor, "items d"]
    bias: Float[Tensor, " items"]
    hidden: Callable[[csr_array], Float[Tensor, "users d"]]

    @classmethod
    def of(cls, model: Model) -> InnerProducts | None:
        """Return the vectors of a model, or None if its scores are not inner products."""
        if isinstance(model, Autoencoder):
            out = model.network.decoder.out
            return cls(out.weight.detach(), out.bias.detach(), model.hidden)
        if isinstance(model, Factors):
            weight, bias = torch.from_numpy(model.item_factors), torch.from_numpy(model.item_bias)
            return cls(weight, bias, lambda x: model.folding.fold_in(Rows.from_csr(x)))
        return None

    def item_vectors(self) -> Float[np.ndarray, "items d_plus_1"]:
        """Return the items' vectors with the bias in the last column, float32."""
        columns = [self.weight.cpu().numpy(), self.bias.cpu().numpy()]
        return np.column_stack(columns).astype(np.float32, copy=False)

    @torch.inference_mode()
    def encode(self, histories: csr_array) -> Float[Tensor, "users d"]:
        """Return the user vectors of canonical histories, on the model's device."""
        return self.hidden(histories)

    @torch.inference_mode()
    def rank(
        self,
        hidden: Float[Tensor, "users d"],
        items: Int64[np.ndarray, "users candidates"],
        is_excluded: Bool[np.ndarray, "users candidates"],
        k: int,
    ) -> Ranking:
        """Return the best k of each user's candidates, as `Model.top_k` orders them.

        Args:
            hidden: user vectors, from `encode`.
            items: positions of each user's candidates.
            is_excluded: which of them to leave out; rows with fewer than k others end in -1.
            k: items per user.
        """
        candidates = torch.from_numpy(items).to(hidden.device)
        scores = self.scores_at(hidden, candidates)
        scores.nan_to_num_(nan=float("-inf"), posinf=float("inf"), neginf=float("-inf"))
        scores[torch.from_numpy(is_excluded).to(hidden.device)] = float("-inf")
        candidates, scores = by_score(candidates, scores)
        return Ranking(candidates[:, :k].cpu().numpy(), scores[:, :k].cpu().numpy())

    @torch.inference_mode()
    def scores_at(
        self, hidden: Float[Tensor, "users d"], items: Int64[Tensor, "users candidates"]
    ) -> Float[Tensor, "users candidates"]:
        """Return the scores of some items per user, equal to those of `Model.score`.

        One product computes the scores of all users, as the model itself does, so that scores and
        ties are those of the whole catalogue. Memory grows with users x candidates.

        Args:
            hidden: user vectors, from `encode`.
            items: positions of each user's items, on the device of `hidden`.
        """
        columns = torch.unique(items)
        padded = torch.cat([columns, columns.new_zeros(-len(columns) % WIDTH_STEP)])
        scores = torch.empty(len(hidden), len(padded), device=hidden.device)
        affine_into(scores, hidden, self.weight[padded], self.bias[padded])
        return scores.gather(1, torch.searchsorted(columns, items))


@torch.inference_mode()
def user_vectors(
    products: InnerProducts, histories: csr_array, batch_size: int
) -> Float[np.ndarray, "users d_plus_1"]:
    """Return user vectors, float32, with ones in the last column."""
    starts = range(0, histories.shape[0], batch_size)
    parts = [products.hidden(histories[s : s + batch_size]).cpu().numpy() for s in starts]
    vectors = np.concatenate([*parts, np.empty((0, products.weight.shape[1]), np.float32)])
    return np.column_stack([vectors, np.ones(len(vectors), np.float32)])
