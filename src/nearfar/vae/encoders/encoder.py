"""The interface of an encoder, and the sparse first layer that all encoders share."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.core.settings import Settings
from nearfar.kernels.gradients import ParameterTable
from nearfar.kernels.memory import empty
from nearfar.kernels.sparse import WeightedRows
from nearfar.vae.layers import linear, small_bias_, xavier_
from nearfar.vae.posterior import DiagonalGaussian, Draw


class EncoderNetwork(nn.Module, ABC):
    """A network from weighted rows to posteriors: a sparse layer, `features` and a linear head.

    A subclass implements `features`; all other methods have defaults. Override `n_passed` and
    `pass_on` to support `initialiser="spectral"`, `draw` for a flow, and the methods on user nodes
    for CDAE. `nearfar.vae.layers` has hidden layers.

    Args:
        n_items: items I.
        n_first: outputs of the sparse layer, which `features` receives.
        n_features: outputs of `features`, which the head receives.
        n_latent: latent dimensions K.
        rng: generator that draws the initial weights.

    Examples:
        >>> class Narrow(nf.EncoderNetwork):
        ...     def features(self, sums):
        ...         return torch.relu(sums)
        >>> @dataclass(frozen=True)
        ... class OneLayer(nf.Encoder):
        ...     width: int = 8
        ...
        ...     def build(self, n_items, n_latent, rng):
        ...         return Narrow(n_items, self.width, self.width, n_latent, rng)
        >>> algorithm = nf.MultVAE(encoder=OneLayer(), n_latent=4, epochs=1)
        >>> algorithm.fit(split.train, split.validation).encode(split.test.fold_in.x).mu.shape
        torch.Size([10, 4])
    """

    def __init__(
        self, n_items: int, n_first: int, n_features: int, n_latent: int, rng: torch.Generator
    ) -> None:
        super().__init__()
        self.first = SparseLinear(n_items, n_first, rng)
        self.head = linear(n_features, 2 * n_latent, rng)

    @abstractmethod
    def features(self, sums: Float[Tensor, "users first"]) -> Float[Tensor, "users features"]:
        """Return the head's inputs.

        Args:
            sums: outputs of the sparse layer, before activation.
        """

    def forward(self, history: WeightedRows) -> DiagonalGaussian:
        """Return q(z|x~); with a flow, q(z_0|x~)."""
        return self.gaussian(self.features(self.first(history)))

    def of_dense(self, inputs: Float[Tensor, "users items"]) -> DiagonalGaussian:
        """Do `forward` for a few dense inputs, such as the pseudo-inputs of a VampPrior."""
        return self.gaussian(self.features(inputs @ self.first.weight + self.first.bias))

    def gaussian(self, features: Float[Tensor, "users features"]) -> DiagonalGaussian:
        """Return the Gaussian that the head computes from the features."""
        mu, logvar = self.head(features).chunk(2, dim=1)
        return DiagonalGaussian(mu, logvar)

    def draw(self, history: WeightedRows, noise: Float[Tensor, "users latent"] | None) -> Draw:
        """Return the latents for this noise; None gives the latents at test time."""
        return self(history).draw(noise)

    @property
    def gaussian_latent(self) -> bool:
        """Whether the z of `draw` follows the diagonal Gaussian of `forward`.

        It does not with a flow, or if one part of z depends on another sampled part. By default
        it is False for an encoder that overrides `draw`.
        """
        return type(self).draw is EncoderNetwork.draw

    @property
    def means_are_latents(self) -> bool:
        """Whether the z of `draw` without noise is the mean of `forward`.

        If it is not, as with a flow, PIA's anchors are in the space of the means, which is not
        that of the decoder's inputs. By default it is False for an encoder that overrides `draw`.
        """
        return self.gaussian_latent

    @property
    def n_passed(self) -> int:
        """Number of directions that `pass_on` can set; 0 where it is not implemented."""
        return 0

    def pass_on(self, directions: Float[Tensor, "items k"]) -> None:
        """Set weights so that the first k dimensions of the mean are about x~ times `directions`.

        Raises:
            NotImplementedError: `n_passed` is 0.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement pass_on")

    def add_user_nodes(self, n_users: int) -> None:
        """Add a node for every training user, during training only.

        Raises:
            NotImplementedError: the encoder does not support user nodes.
        """
        raise NotImplementedError(f"{type(self).__name__} does not support user nodes")

    def drop_user_nodes(self) -> None:
        """Remove the nodes of training users, if there are any."""

    def set_log_variance(self, value: float) -> None:
        """Set biases so that the log variance is about `value` at the start of training."""
        self.head.bias[self.head.out_features // 2 :] = value


class Encoder(Settings, ABC):
    """The settings of an encoder.

    Examples:
        >>> nf.MultVAE(encoder="iaf").encoder.steps
        2
    """

    @abstractmethod
    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> EncoderNetwork:
        """Return a network with fresh weights, drawn from `rng`."""


class SparseLinear(nn.Module):
    """A linear layer on sparse rows, whose `weight` has a row per item."""

    def __init__(self, n_items: int, n_out: int, rng: torch.Generator) -> None:
        super().__init__()
        self.weight = ParameterTable(empty((n_items, n_out)))
        self.bias = nn.Parameter(torch.empty(n_out))
        xavier_(self.weight, rng)
        small_bias_(self.bias, rng)

    def forward(self, history: WeightedRows) -> Float[Tensor, "users hidden"]:
        return history.product(self.weight) + self.bias
