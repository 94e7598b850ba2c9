"""Nodes of training users: what an encoder learns of each user beside the history."""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Tensor, nn

from nearfar.kernels.gradients import ParameterTable
from nearfar.kernels.memory import empty
from nearfar.kernels.sparse import selected_rows


class UserNodes(nn.Module):
    """A vector per training user, added to the weighted sums of the encoder's first layer.

    A fitted model knows no users: they are taken off the encoder when training ends. All start at
    zero, which is what users without a node have.

    Notation: `weight` = V_u of CDAE (Wu et al. 2016).
    """

    def __init__(self, n_users: int, n_hidden: int) -> None:
        super().__init__()
        self.weight = ParameterTable(empty((n_users, n_hidden)).zero_())

    def forward(self, positions: Int64[Tensor, " users"]) -> Float[Tensor, "users hidden"]:
        """The vectors of the users at these positions, each of which comes once."""
        return selected_rows(self.weight, positions)
