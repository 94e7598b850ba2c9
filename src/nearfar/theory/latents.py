"""Latents of a fitted model: posteriors, what stands for a user at test time, and draws."""

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

AT_ONCE = 2048


def check_gaussian(encoder: EncoderNetwork) -> None:
    """Refuse an encoder whose z is not drawn from the diagonal Gaussian that it returns.

    Raises: SettingsError with the encoder's name.
    """
    if not encoder.gaussian_latent:
        kind = type(encoder).__name__.strip("_").removesuffix("Network")
        raise SettingsError(
            f"the {kind} encoder's posterior of what the decoder is given is no diagonal "
            "Gaussian; its density has no closed form for other users' latents"
        )


def encoded(model: Autoencoder, histories: csr_array) -> DiagonalGaussian:
    """Return the encoder's diagonal Gaussians, on the CPU; behind a flow q(z_0|x).

    Raises: DataError where a mean is not finite.
    """
    parts = [model.encode(part) for part in _parts(histories)]
    mu, logvar = (torch.cat([getattr(q, name) for q in parts]) for name in ("mu", "logvar"))
    return DiagonalGaussian(_finite(mu).clone(), logvar.clone())


@torch.no_grad()
def standing_latents(model: Autoencoder, histories: csr_array) -> Float[Tensor, "users latent"]:
    """Return what stands for each user at test time: the mean, through the flow if there is one.

    Raises: DataError where one is not finite.
    """
    return _finite(torch.cat([model.latents(part) for part in _parts(histories)])).clone()


@torch.no_grad()
def drawn(
    model: Autoencoder, histories: csr_array, noise: Float[Tensor, "users draws latent"]
) -> Float[Tensor, "users draws latent"]:
    """Return latents as the decoder is given them, by the encoder's own draw.

    Args:
        model: whose encoder.
        histories: clean ones.
        noise: standard normal, on the CPU.
    """
    if model.network.encoder.gaussian_latent:
        q = encoded(model, histories)
        return q.mu[:, None] + q.variance.sqrt()[:, None] * noise
    rows = Rows.from_csr(histories, device=model.device)
    shown = model.network.corruption.clean(rows)
    draws = [
        model.network.encoder.draw(shown, noise[:, draw].to(model.device)).z.cpu()
        for draw in range(noise.shape[1])
    ]
    return _finite(torch.stack(draws, 1))


def _parts(histories: csr_array) -> Iterator[csr_array]:
    for start in range(0, histories.shape[0], AT_ONCE):
        yield histories[start : start + AT_ONCE]


def _finite(latents: Tensor) -> Tensor:
    if not bool(torch.isfinite(latents).all()):
        raise DataError("the model's latents are not finite; it cannot be examined")
    return latents
