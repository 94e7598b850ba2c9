"""Which latent dimensions are in use: the health of a variational autoencoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64

from nearfar.core.errors import DataError
from nearfar.vae.information import Information
from nearfar.vae.posterior import DiagonalGaussian

COLLAPSED_NATS = 0.01
ACTIVE_VARIANCE = 0.01


@dataclass(frozen=True, eq=False)
class LatentHealth:
    """The use of each latent dimension over a sample of users.

    Args:
        kl: mean KL(q(z_d|x) || N(0, 1)) of each dimension, in nats per user.
        variance: Var_x mu_d, in latent units squared.
        information: an upper bound of I(x; z_d) in nats, for any prior; zero for a dimension
            without information about the user. See `Information`.
    """

    kl: Float64[np.ndarray, " latent"]
    variance: Float64[np.ndarray, " latent"]
    information: Float64[np.ndarray, " latent"]

    @property
    def n_active(self) -> int:
        """Dimensions with Var_x mu_d > .01: the active units of Burda et al., 2016."""
        return int((self.variance > ACTIVE_VARIANCE).sum())

    @property
    def n_collapsed(self) -> int:
        """Dimensions with less than .01 nats of information about the user."""
        return int((self.information < COLLAPSED_NATS).sum())


def latent_health(posterior: DiagonalGaussian) -> LatentHealth:
    """Measure the use of each latent dimension, from the posteriors of a sample of users.

    Source: Burda et al., Importance Weighted Autoencoders, 2016, for active units.

    Raises:
        DataError: a posterior is a point, whose KL is infinite.

    Examples:
        >>> from nearfar.theory.health import latent_health
        >>> health = latent_health(vae.encode(split.test.fold_in.x))
        >>> health.variance.shape
        (4,)
    """
    mu, logvar = (t.detach().to("cpu", torch.float64) for t in (posterior.mu, posterior.logvar))
    if not logvar.isfinite().all():
        raise DataError(
            "a posterior is a point and its KL is infinite; give posteriors of a variational "
            "autoencoder"
        )
    q = DiagonalGaussian(mu, logvar)
    information = Information(mu.shape[1])
    information.add(q)
    kl = 0.5 * (mu.square() + q.variance - 1 - logvar)
    return LatentHealth(
        kl.mean(0).numpy(), mu.var(0, unbiased=False).numpy(), information.nats().numpy()
    )
