"""The encoder with one layer and no variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from nearfar.core.errors import SettingsError
from nearfar.kernels.gradients import ParameterTable
from nearfar.kernels.memory import empty
from nearfar.kernels.sparse import WeightedRows, selected_rows
from nearfar.vae.encoders.encoder import Encoder, EncoderNetwork, SparseLinear
from nearfar.vae.posterior import DiagonalGaussian, Draw

ShallowUnits = Literal["linear", "tanh", "sigmoid"]


class UserNodes(nn.Module):
    """A vector per training user, which is added to the sums of the encoder's first layer.

    The vectors are removed when training ends, because a fitted model knows no users. They are
    initialised to zero, which is also the value for users without a node.

    Notation: `weight` = V_u of CDAE (Wu et al. 2016).
    """

    def __init__(self, n_users: int, n_hidden: int) -> None:
        super().__init__()
        self.weight = ParameterTable(empty((n_users, n_hidden)).zero_())

    def forward(self, positions: Int64[Tensor, " users"]) -> Float[Tensor, "users hidden"]:
        """Return the vectors of the users at these positions, which must be distinct."""
        return selected_rows(self.weight, positions)


@dataclass(frozen=True)
class Shallow(Encoder):
    """One layer from the history to the latent, z = h(W' x~ + b).

    The posterior is a point, with log variance minus infinity: it is for autoencoders that are
    trained without noise and without a KL term.

    Source: the encoder of Mult-DAE (Liang et al. 2018), of CDAE (Wu et al. 2016), and, linear, of
    the autoencoder that Lobel et al. (RaCT, 2020) train with the WARP loss.

    Args:
        units: the function h; "linear" is the identity.

    Examples:
        >>> nf.encoders.Shallow(units="tanh")
        Shallow(units='tanh')
    """

    units: ShallowUnits = "tanh"

    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> ShallowNetwork:
        return ShallowNetwork(n_items, n_latent, self.units, rng)


class ShallowNetwork(EncoderNetwork):
    """The network of `Shallow`: the sparse first layer and, in CDAE, nodes of training users.

    Attributes:
        users: the nodes of training users, used in training only.
    """

    def __init__(
        self, n_items: int, n_latent: int, units: ShallowUnits, rng: torch.Generator
    ) -> None:
        nn.Module.__init__(self)  # there is no head
        self.first = SparseLinear(n_items, n_latent, rng)
        self.units: ShallowUnits = units
        self.users: UserNodes | None = None

    def forward(self, history: WeightedRows) -> DiagonalGaussian:
        sums = self.first(history)
        if self.training and self.users is not None:
            positions = history.rows.positions
            if positions is not None:
                sums = sums + self.users(positions)
        return self.gaussian(self.features(sums))

    def features(self, sums: Float[Tensor, "users first"]) -> Float[Tensor, "users features"]:
        if self.units == "linear":
            return sums
        return torch.tanh(sums) if self.units == "tanh" else torch.sigmoid(sums)

    def gaussian(self, features: Float[Tensor, "users features"]) -> DiagonalGaussian:
        return DiagonalGaussian(features, torch.full_like(features, -torch.inf))

    def draw(self, history: WeightedRows, noise: Float[Tensor, "users latent"] | None) -> Draw:
        if noise is not None:
            raise SettingsError(
                "encoder is shallow, whose latent has no variance, but training samples noise; use "
                "another encoder, or an algorithm without noise, such as MultDAE"
            )
        return super().draw(history, None)

    @property
    def gaussian_latent(self) -> bool:
        return True

    def add_user_nodes(self, n_users: int) -> None:
        self.users = UserNodes(n_users, self.first.weight.shape[1])

    def drop_user_nodes(self) -> None:
        self.users = None

    @property
    def n_passed(self) -> int:
        return 0 if self.units == "sigmoid" else self.first.weight.shape[1]

    def pass_on(self, directions: Float[Tensor, "items k"]) -> None:
        self.first.weight[:, : directions.shape[1]] = directions

    def set_log_variance(self, value: float) -> None:
        pass
