"""The variational autoencoder as one network: encoder, sampling, decoder."""

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
    """q(z|x~) and p(x|z) with the corruption between x and x~."""

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
        """The posterior of clean histories; where a flow follows, q(z_0|x)."""
        return self.encoder(self.corruption.clean(rows))

    def latents(self, rows: Rows) -> Float[Tensor, "users latent"]:
        """What stands for each user at test time: the mean, through the flow if there is one."""
        return self.encoder.draw(self.corruption.clean(rows), None).z

    def forward(self, rows: Rows) -> Float[Tensor, "users items"]:
        """Logits as at test time."""
        return self.decoder(self.latents(rows))

    def training_step(
        self, rows: Rows, rng: torch.Generator, *, corrupt: bool = True, noise: bool = True
    ) -> Step:
        """Corrupt, encode, sample, decode (Eq. 2) up to the last layer: what the terms look at.

        Args:
            rows: histories of some users.
            rng: what corruption and noise are drawn from.
            corrupt: whether the encoder is shown x~, or x.
            noise: whether z is drawn, or is what stands for the user at test time.
        """
        shown = self.corruption.corrupt(rows, rng) if corrupt else self.corruption.clean(rows)
        eps = normal_by_user(rows, self.n_latent, rng) if noise else None
        draw = self.encoder.draw(shown, eps)
        return Step(
            histories=rows,
            draw=draw,
            hidden=self.decoder.body(draw.z),
            output=self.decoder.out,
            encoder=self.encoder,
            shown=shown,
            corruption=self.corruption,
            rng=rng,
        )
