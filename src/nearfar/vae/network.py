"""The variational autoencoder: corruption, encoder, sampling and decoder in one network."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.kernels.draws import normal_by_user
from nearfar.kernels.rows import Rows
from nearfar.vae.corruption.corruption import Corruption
from nearfar.vae.decoder import Decoder
from nearfar.vae.encoders.encoder import Encoder
from nearfar.vae.layers import Units
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.step import Step


class VAE(nn.Module):
    """The encoder q(z|x~), the decoder p(x|z) and the corruption that turns x into x~."""

    def __init__(
        self,
        *,
        n_items: int,
        n_latent: int,
        encoder: Encoder,
        decoder_hidden: tuple[int, ...],
        corruption: Corruption,
        rng: torch.Generator,
        decoder_units: Units = "tanh",
    ) -> None:
        super().__init__()
        self.n_items = n_items
        self.n_latent = n_latent
        self.corruption = corruption
        self.encoder = encoder.build(n_items, n_latent, rng)
        self.decoder = Decoder(n_latent, decoder_hidden, n_items, rng, decoder_units)

    def encode(self, rows: Rows) -> DiagonalGaussian:
        """Return the posteriors of uncorrupted histories; with a flow, q(z_0|x)."""
        return self.encoder(self.corruption.clean(rows))

    def latents(self, rows: Rows) -> Float[Tensor, "users latent"]:
        """Return the latent of each user at test time: the mean, mapped through a flow if any."""
        return self.encoder.draw(self.corruption.clean(rows), None).z

    def forward(self, rows: Rows) -> Float[Tensor, "users items"]:
        """Return the logits at test time."""
        return self.decoder(self.latents(rows))

    def training_step(
        self, rows: Rows, rng: torch.Generator, *, corrupt: bool = True, noise: bool = True
    ) -> Step:
        """Corrupt, encode, sample and decode up to the last layer (Eq. 2); return the step.

        Args:
            rows: histories of a batch of users.
            rng: generator of the corruption and the noise.
            corrupt: whether the encoder receives x~ or x.
            noise: whether z is sampled, or is the latent at test time.
        """
        visible = self.corruption.corrupt(rows, rng) if corrupt else self.corruption.clean(rows)
        eps = normal_by_user(rows, self.n_latent, rng) if noise else None
        draw = self.encoder.draw(visible, eps)
        return Step(
            histories=rows,
            draw=draw,
            hidden=self.decoder.body(draw.z),
            output=self.decoder.out,
            encoder=self.encoder,
            shown=visible,
            corruption=self.corruption,
            rng=rng,
        )
