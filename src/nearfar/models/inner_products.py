"""Models whose scores are inner products of a history's vector and an item's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.kernels.products import affine_into
from nearfar.kernels.rows import Rows
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.factors import Factors
from nearfar.models.model import Model

WIDTH_STEP = 16
"""Products are padded to a multiple of this many columns. The last columns of a narrower one go
through another routine, which adds in another order: scores would differ in their last bit."""


@dataclass(frozen=True, eq=False)
class InnerProducts:
    """The two sides of a model's scores: score = hidden(history) . weight[item] + bias[item].

    Attributes:
        weight: the items' rows of the decoder's last layer, or their factors.
        bias: the items' biases.
        hidden: from canonical histories to what the product is taken with, on the model's device.
    """

    weight: Float[Tensor, "items d"]
    bias: Float[Tensor, " items"]
    hidden: Callable[[csr_array], Float[Tensor, "users d"]]

    @classmethod
    def of(cls, model: Model) -> InnerProducts | None:
        """Return the two sides of a model's scores, or None where they are no inner products."""
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
    def scores_at(
        self, hidden: Float[Tensor, "users d"], items: Int64[Tensor, "users places"]
    ) -> Float[Tensor, "users places"]:
        """Return the scores of some items of each user, as `Model.score` computes them.

        All users' items go through one product of the shape that the model's own has, so that
        scores and ties are those of the whole catalogue. Memory grows with users x places.

        Args:
            hidden: of the users.
            items: positions of items, on the device of `hidden`.
        """
        columns = torch.unique(items)
        n = len(columns)
        padded = torch.cat([columns, columns.new_zeros(-n % WIDTH_STEP)])
        scores = torch.empty(len(hidden), len(padded), device=hidden.device)
        affine_into(scores, hidden, self.weight[padded], self.bias[padded])
        return scores.gather(1, torch.searchsorted(columns, items))


@torch.inference_mode()
def user_vectors(
    products: InnerProducts, histories: csr_array, batch_size: int
) -> Float[np.ndarray, "users d_plus_1"]:
    """Return the histories' vectors with ones in the last column, float32."""
    starts = range(0, histories.shape[0], batch_size)
    parts = [products.hidden(histories[s : s + batch_size]).cpu().numpy() for s in starts]
    vectors = np.concatenate([*parts, np.empty((0, products.weight.shape[1]), np.float32)])
    return np.column_stack([vectors, np.ones(len(vectors), np.float32)])
