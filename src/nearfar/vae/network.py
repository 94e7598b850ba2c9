"""The variational autoencoder as one network: encoder, sampling, decoder."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.vae.corruption.corruption import Corruption
from nearfar.vae.decoder import Decoder
from nearfar.vae.encoders.encoder import Encoder
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.rows import Rows
from nearfar.vae.terms.term import Step


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
    ) -> None:
        super().__init__()
        self.n_items = n_items
        self.n_latent = n_latent
        self.corruption = corruption
        self.encoder = encoder.build(n_items, n_latent, rng)
        self.decoder = Decoder(n_latent, decoder_hidden, n_items, rng)

    def encode(self, rows: Rows) -> DiagonalGaussian:
        """The posterior of clean histories."""
        return self.encoder(self.corruption.clean(rows))

    def forward(self, rows: Rows) -> Float[Tensor, "users items"]:
        """Logits at z = mu, as at test time."""
        return self.decoder(self.encode(rows).mu)

    def training_step(self, rows: Rows, rng: torch.Generator) -> Step:
        """Corrupt, encode, sample, decode (Eq. 2) up to the last layer: what the terms look at."""
        posterior = self.encoder(self.corruption.corrupt(rows, rng))
        noise = torch.randn(posterior.mu.shape, generator=rng, device=rng.device)
        z = posterior.sample(noise)
        return Step(
            histories=rows,
            posterior=posterior,
            z=z,
            hidden=self.decoder.body(z),
            output=self.decoder.out,
            rng=rng,
        )
