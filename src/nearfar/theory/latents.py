"""Latents of a fitted model: posteriors, test-time latents, and draws."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.errors import DataError, SettingsError
from nearfar.kernels.rows import Rows
from nearfar.models.autoencoder import Autoencoder
from nearfar.vae.encoders.encoder import EncoderNetwork
from nearfar.vae.posterior import DiagonalGaussian

BATCH_USERS = 2048


def check_gaussian(encoder: EncoderNetwork) -> None:
    """Check that the encoder draws z from the diagonal Gaussian that it returns.

    Raises:
        SettingsError: it does not, as behind a flow.
    """
    if not encoder.gaussian_latent:
        kind = type(encoder).__name__.strip("_").removesuffix("Network")
        raise SettingsError(
            f"the {kind} encoder's posterior of the decoder's input is not a diagonal Gaussian; "
            "its density has no closed form for other users' latents"
        )


def encode(model: Autoencoder, histories: csr_array) -> DiagonalGaussian:
    """Return the encoder's diagonal Gaussians, on the CPU; for a flow, q(z_0|x) before the flow.

    Raises:
        DataError: a mean is not finite.
    """
    posteriors = [model.encode(batch) for batch in _batches(histories)]
    mu, logvar = (torch.cat([getattr(q, name) for q in posteriors]) for name in ("mu", "logvar"))
    return DiagonalGaussian(_finite(mu).clone(), logvar.clone())


@torch.no_grad()
def mean_latents(model: Autoencoder, histories: csr_array) -> Float[Tensor, "users latent"]:
    """Return each user's latent at test time: the mean, through the flow if there is one.

    Raises:
        DataError: a latent is not finite.
    """
    return _finite(torch.cat([model.latents(batch) for batch in _batches(histories)])).clone()


@torch.no_grad()
def draw_latents(
    model: Autoencoder, histories: csr_array, noise: Float[Tensor, "users draws latent"]
) -> Float[Tensor, "users draws latent"]:
    """Draw latents by the model's encoder, as the decoder gets them.

    Args:
        model: the fitted autoencoder.
        histories: clean histories.
        noise: standard normal noise, on the CPU.
    """
    if model.network.encoder.gaussian_latent:
        q = encode(model, histories)
        return q.mu[:, None] + q.variance.sqrt()[:, None] * noise
    rows = Rows.from_csr(histories, device=model.device)
    inputs = model.network.corruption.clean(rows)
    draws = [
        model.network.encoder.draw(inputs, noise[:, draw].to(model.device)).z.cpu()
        for draw in range(noise.shape[1])
    ]
    return _finite(torch.stack(draws, 1))


def _batches(histories: csr_array) -> Iterator[csr_array]:
    for start in range(0, histories.shape[0], BATCH_USERS):
        yield histories[start : start + BATCH_USERS]


def _finite(latents: Tensor) -> Tensor:
    if not bool(torch.isfinite(latents).all()):
        raise DataError("the model's latents are not finite, so it cannot be measured; train again")
    return latents
