"""Personalized Item Alignment: the objective term A(x) of Eq. 8-9."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.kernels.gradients import ParameterTable
from nearfar.kernels.memory import empty
from nearfar.kernels.rows import Rows
from nearfar.kernels.sparse import mean_of_rows, rows_present
from nearfar.vae.step import Step


class Alignment(nn.Module):
    """The term A(x) = (1/N) sum_{i in S} E ||z - e_i||^2, in the closed form of Proposition 3.1.

    The closed form is ||mu - c||^2 + tr Sigma + V(S): sparse sums over the user's items, without
    sampling. The anchors are used in training only; scoring never reads them. For a user without
    items it is 0.

    Notation: `anchors` = e_i; `centroid` = c; `spread` = V(S).
    Differs: it is not known how the authors' code reduces A over users and dimensions. Here it is
    a sum over dimensions and a mean over users, like the other terms, so that values of lambda_A
    in the paper do not apply.

    Args:
        n_items: items I.
        n_latent: latent dimensions K.
        anchor_std: standard deviation of the anchors at the start.
        rng: generator of the initial anchors.
    """

    def __init__(
        self, n_items: int, n_latent: int, anchor_std: float, rng: torch.Generator
    ) -> None:
        super().__init__()
        self.anchors = ParameterTable(empty((n_items, n_latent)))
        nn.init.normal_(self.anchors, std=anchor_std, generator=rng)

    def forward(self, step: Step, /) -> Float[Tensor, " users"]:
        centroid, spread = centroid_and_spread(self.anchors, step.histories)
        distance = (step.posterior.mu - centroid).square().sum(1)
        total = distance + step.posterior.variance.sum(1) + spread
        return torch.where(step.histories.counts > 0, total, 0.0)


def centroid_and_spread(
    anchors: Float[Tensor, "items latent"], rows: Rows
) -> tuple[Float[Tensor, "users latent"], Float[Tensor, " users"]]:
    """Return c = (1/N) sum_{i in S} e_i and V(S) = (1/N) sum_{i in S} ||e_i - c||^2 (Prop. 3.1)."""
    centroid = mean_of_rows(rows, anchors)
    by_item = rows.by_item
    squared = rows_present(rows, anchors).square().sum(1)[by_item.inverse]
    shares = squared / rows.counts[by_item.users]
    mean = torch.zeros_like(centroid[:, 0]).index_add(0, by_item.users, shares)
    return centroid, mean - centroid.square().sum(1)
