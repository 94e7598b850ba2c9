"""An encoder followed by an inverse autoregressive flow."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.core.errors import SettingsError
from nearfar.core.ranges import LayerSize, PositiveInt
from nearfar.kernels.sparse import WeightedRows
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.encoder import Encoder, EncoderNetwork
from nearfar.vae.layers import linear
from nearfar.vae.posterior import Draw

OPEN = 2.0
"""Initial bias of the gates, with which a step is near the identity."""


class AutoregressiveStep(nn.Module):
    """A flow step z'_d = s_d z_d + (1 - s_d) m_d, s and m functions of z_1 .. z_(d-1) and context.

    The Jacobian is triangular, so that log |det| = sum_d log s_d.

    Notation: s = sigmoid(gate), m = shift; masks make output d depend only on latents before d.
    Source: Kingma et al., Improved Variational Inference with Inverse Autoregressive Flow, 2016,
    Algorithm 1; masks as in Germain et al., MADE, 2015. Eq. 11-13 of the paper.

    Args:
        n_latent: latent dimensions K.
        n_hidden: hidden units.
        n_context: width of the context.
        rng: generator of the initial weights.
    """

    inner: Float[Tensor, "hidden latent"]
    outer: Float[Tensor, "outputs hidden"]

    def __init__(self, n_latent: int, n_hidden: int, n_context: int, rng: torch.Generator) -> None:
        super().__init__()
        self.of_latent = linear(n_latent, n_hidden, rng)
        self.of_context = linear(n_context, n_hidden, rng)
        self.out = linear(n_hidden, 2 * n_latent, rng)
        with torch.no_grad():
            self.out.bias[n_latent:] = OPEN
        # A hidden unit of degree d depends on the first d latents, and output d on units of lower
        # degree than d. Units of degree 0 pass the context to the first output.
        degrees = torch.arange(n_hidden) % n_latent
        positions = torch.arange(1, n_latent + 1)
        inner = (degrees[:, None] >= positions[None, :]).float()
        outer = (positions[:, None] > degrees[None, :]).float().repeat(2, 1)
        self.register_buffer("inner", inner, persistent=False)
        self.register_buffer("outer", outer, persistent=False)

    def forward(
        self, z: Float[Tensor, "users latent"], context: Float[Tensor, "users features"]
    ) -> tuple[Float[Tensor, "users latent"], Float[Tensor, " users"]]:
        """Return z' and log |det dz'/dz| in nats per user."""
        h = nn.functional.linear(z, self.of_latent.weight * self.inner, self.of_latent.bias)
        h = torch.tanh(h + self.of_context(context))
        out = nn.functional.linear(h, self.out.weight * self.outer, self.out.bias)
        shift, gate = out.chunk(2, dim=1)
        s = torch.sigmoid(gate)
        return s * z + (1 - s) * shift, nn.functional.logsigmoid(gate).sum(1)


@dataclass(frozen=True)
class IAF(Encoder):
    """An encoder of z_0 and an inverse autoregressive flow that maps z_0 to z.

    At test time the flow maps the mean of q(z_0|x). Alignment and other terms of means and
    variances use q(z_0|x~); the KL is that of z_T.

    Source: Kingma et al. 2016; the paper's Eq. 11-13 and Table 6, "base + 2 IAF layers".
    Differs: the paper does not give the width of the steps. Every second step processes the
    latents from the last to the first. Kingma et al. reverse the latents after each step, which is
    the same except for the final order.

    Args:
        before: the encoder of q(z_0|x~), whose features are the context of the steps; its latent
            must be a plain Gaussian.
        steps: number of flow steps.
        hidden: units of each step's hidden layer.

    Examples:
        >>> nf.MultVAE(encoder=nf.encoders.IAF(steps=3)).encoder.steps
        3
    """

    before: Encoder = field(default_factory=Base)
    steps: PositiveInt = 2
    hidden: LayerSize = 320

    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> EncoderNetwork:
        before = self.before.build(n_items, n_latent, rng)
        if type(before).draw is not EncoderNetwork.draw:
            raise SettingsError(
                f"before is {type(self.before).__name__}; a flow needs an encoder whose latent is "
                "a plain Gaussian, such as Base"
            )
        return _IAFNetwork(before, self, n_latent, rng)


class _IAFNetwork(EncoderNetwork):
    def __init__(
        self, before: EncoderNetwork, settings: IAF, n_latent: int, rng: torch.Generator
    ) -> None:
        nn.Module.__init__(self)  # the first layer and the head are those of `before`
        self.before = before
        width = before.head.in_features
        self.steps = nn.ModuleList(
            AutoregressiveStep(n_latent, settings.hidden, width, rng) for _ in range(settings.steps)
        )

    @property
    def first(self):
        return self.before.first

    @property
    def head(self):
        return self.before.head

    def features(self, sums: Float[Tensor, "users first"]) -> Float[Tensor, "users features"]:
        return self.before.features(sums)

    def draw(self, history: WeightedRows, noise: Float[Tensor, "users latent"] | None) -> Draw:
        context = self.features(self.first(history))
        start = self.gaussian(context).draw(noise)
        z, log_det = start.z, torch.zeros_like(start.z[:, 0])
        for number, step in enumerate(self.steps):
            backwards = number % 2 == 1
            z, step_log_det = step(z.flip(1) if backwards else z, context)
            z, log_det = z.flip(1) if backwards else z, log_det + step_log_det
        return Draw(start.posterior, start.noise, z, log_det)

    @property
    def n_passed(self) -> int:
        return self.before.n_passed

    def pass_on(self, directions: Float[Tensor, "items k"]) -> None:
        self.before.pass_on(directions)
