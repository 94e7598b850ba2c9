"""The two-level encoder of H+Vamp."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.core.errors import SettingsError
from nearfar.core.ranges import LayerSize
from nearfar.kernels.sparse import WeightedRows
from nearfar.vae.encoders.encoder import Encoder, EncoderNetwork, SparseLinear
from nearfar.vae.layers import Units, activate, hidden_layer, linear, widened
from nearfar.vae.posterior import DiagonalGaussian, Draw

LOGVAR_BOUNDS = (-12.0, 4.0)
"""Log variances are clipped to this range, as in the published code."""


@dataclass(frozen=True)
class Hierarchical(Encoder):
    """Two levels q(z2|x~) and q(z1|x~, z2); each of z1 and z2 is half of the latent dimensions.

    The posterior in objective terms is that of (z1, z2) given the sampled z2; at test time z2 is
    its mean.

    Source: Kim and Suh, Enhancing VAEs for Collaborative Filtering, 2019, after Tomczak and
    Welling, VAE with a VampPrior, 2018, section 4.

    Args:
        hidden: units per hidden layer. z2 has two such layers; z1 has one for x~, one for z2 and
            one that joins them.
        units: "gated" or "tanh".

    Examples:
        >>> nf.HVamp(hidden=100).architecture(20).encoder
        Hierarchical(hidden=100, units='gated')
    """

    hidden: LayerSize = 600
    units: Units = "gated"

    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> EncoderNetwork:
        if n_latent % 2:
            raise SettingsError(
                f"n_latent is {n_latent}; an encoder of two levels needs an even number"
            )
        return _HierarchicalNetwork(n_items, self.hidden, self.units, n_latent // 2, rng)


class _HierarchicalNetwork(EncoderNetwork):
    """Layers of q(z2|x~): `first`, `middle` and `head`; the others are those of q(z1|x~, z2)."""

    def __init__(
        self, n_items: int, hidden: int, units: Units, n_level: int, rng: torch.Generator
    ) -> None:
        super().__init__(n_items, widened(units, hidden), hidden, n_level, rng)
        self.units: Units = units
        self.middle = hidden_layer(units, hidden, hidden, rng)
        self.of_history = SparseLinear(n_items, widened(units, hidden), rng)
        self.of_upper = hidden_layer(units, n_level, hidden, rng)
        self.joint = hidden_layer(units, 2 * hidden, hidden, rng)
        self.lower_head = linear(hidden, 2 * n_level, rng)

    def features(self, sums: Float[Tensor, "users first"]) -> Float[Tensor, "users features"]:
        return self.middle(activate(self.units, sums))

    def gaussian(self, features: Float[Tensor, "users features"]) -> DiagonalGaussian:
        return bounded_gaussian(self.head(features))

    def lower(self, history: WeightedRows, z2: Float[Tensor, "users level"]) -> DiagonalGaussian:
        """Return q(z1|x~, z2)."""
        history_features = activate(self.units, self.of_history(history))
        joint = self.joint(torch.cat([history_features, self.of_upper(z2)], 1))
        return bounded_gaussian(self.lower_head(joint))

    def forward(self, history: WeightedRows) -> DiagonalGaussian:
        return self.draw(history, None).posterior

    def draw(self, history: WeightedRows, noise: Float[Tensor, "users latent"] | None) -> Draw:
        noise1, noise2 = (None, None) if noise is None else noise.chunk(2, dim=1)
        upper = self.gaussian(self.features(self.first(history))).draw(noise2)
        lower = self.lower(history, upper.z).draw(noise1)
        pairs = (
            (lower.posterior.mu, upper.posterior.mu),
            (lower.posterior.logvar, upper.posterior.logvar),
            (lower.noise, upper.noise),
            (lower.z, upper.z),
        )
        mu, logvar, noise, z = (torch.cat(pair, 1) for pair in pairs)
        return Draw(DiagonalGaussian(mu, logvar), noise, z)

    @property
    def means_are_latents(self) -> bool:
        return True  # without noise, z1 and z2 are both means

    def set_log_variance(self, value: float) -> None:
        super().set_log_variance(value)
        self.lower_head.bias[self.lower_head.out_features // 2 :] = value


def bounded_gaussian(sums: Float[Tensor, "users twice"]) -> DiagonalGaussian:
    """Return the Gaussian with the first half as means and the rest as log variances, clipped."""
    mu, logvar = sums.chunk(2, dim=1)
    return DiagonalGaussian(mu, logvar.clamp(*LOGVAR_BOUNDS))
