"""The encoder of one layer, without a variance."""

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


@dataclass(frozen=True)
class Shallow(Encoder):
    """z = h(W' x~ + b): one layer to the latent itself.

    The posterior is a point, its log variance minus infinity: for autoencoders that are trained
    without noise and without a KL term.

    Source: the encoder of Mult-DAE (Liang et al. 2018), of CDAE (Wu et al. 2016), and, linear, of
    the autoencoder that Lobel et al. (RaCT, 2020) train with the WARP loss.

    Args:
        units: h; nothing where it is "linear".

    Examples:
        >>> nf.encoders.Shallow(units="tanh")
        Shallow(units='tanh')
    """

    units: ShallowUnits = "tanh"

    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> ShallowNetwork:
        return ShallowNetwork(n_items, n_latent, self.units, rng)


class ShallowNetwork(EncoderNetwork):
    """The sparse first layer is all there is, with nodes of the training users if wanted.

    Attributes:
        users: what is added to the weighted sums of training users, in training only.
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
                "the encoder is shallow, whose latent has no variance, and training draws noise; "
                "take another encoder, or an algorithm without noise, such as MultDAE"
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
