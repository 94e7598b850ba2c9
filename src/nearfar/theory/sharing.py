"""Who helps whom: the sharing radius of Theorem 2.3, over a sample of users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.errors import DataError
from nearfar.theory.gradients import gradient_norms
from nearfar.theory.lipschitz import lipschitz_estimate
from nearfar.theory.losses import MULTINOMIAL, Loss
from nearfar.vae.decoder import Decoder

LOSSES_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class SharingGraph:
    """Which users' gradient steps must help which others, to first order.

    Axes: row u is the user who is helped, column v the one on whom the step is taken.

    Attributes:
        gradient_norm: ||g_v||, " users", in nats per unit of the decoder's parameters.
        mismatch: Delta_uv, "users users", in the same unit; zero on the diagonal.
        lipschitz: L of l_u, " users", that unit a unit of z.
        least_distance: ||mu_u - mu_v|| <= W1(q_u, q_v), in units of z.
        most_distance: W2(q_u, q_v) >= W1(q_u, q_v), in units of z.
    """

    gradient_norm: Float64[np.ndarray, " users"]
    mismatch: Float64[np.ndarray, "users users"]
    lipschitz: Float64[np.ndarray, " users"]
    least_distance: Float64[np.ndarray, "users users"]
    most_distance: Float64[np.ndarray, "users users"]

    @property
    def radius(self) -> Float64[np.ndarray, "users users"]:
        """r_uv = (||g_v|| - Delta_uv) / L in units of z; no distance is within a negative one.

        At most the true radius if `lipschitz` is an upper bound of L, at least the true one if
        it is an estimate from sampled pairs. Where L is 0, z does not matter: infinite, with
        the sign of ||g_v|| - Delta_uv.
        """
        margin = self.gradient_norm - self.mismatch
        slope = np.broadcast_to(self.lipschitz[:, None], margin.shape)
        infinite = np.where(margin > 0, np.inf, -np.inf)
        return np.divide(margin, slope, out=infinite, where=slope > 0)

    @property
    def surely_within(self) -> Bool[np.ndarray, "users users"]:
        """Pairs with W2 < r_uv, so that W1 < r_uv; users with themselves left out."""
        return self._of_others(self.most_distance < self.radius)

    @property
    def maybe_within(self) -> Bool[np.ndarray, "users users"]:
        """Pairs with ||mu_u - mu_v|| < r_uv: no other pair has W1 < r_uv."""
        return self._of_others(self.least_distance < self.radius)

    def _of_others(self, pairs: np.ndarray) -> Bool[np.ndarray, "users users"]:
        return pairs & ~np.eye(len(pairs), dtype=bool)


def mean_gradients(
    decoder: Decoder,
    z: Float[Tensor, "users draws latent"],
    x: Float[Tensor, "users items"],
    loss: Loss = MULTINOMIAL,
) -> tuple[Float[Tensor, " users"], Float[Tensor, "users users"]]:
    """||g_v|| and Delta_uv (row u, column v), by the mean over the latents z of each user v.

    g_v = E_{q_v} grad l_v and Delta_uv = || E_{q_v} [grad l_u - grad l_v] ||, l the loss
    of a user's whole history in nats (Eq. 1). Exact for the empirical posteriors that the
    latents make; for the posteriors themselves the norm of a Monte Carlo mean is too large on
    average, ever less so with more draws.

    Args:
        decoder: f.
        z: latents drawn of each user's posterior.
        x: histories of ones.
        loss: l.

    Source: Theorem 2.3.
    """
    n_users, n_draws, _ = z.shape
    targets = loss.targets(x)
    weights = torch.full((n_draws,), 1 / n_draws, dtype=torch.float64, device=z.device)
    scale = loss.scale(targets)
    norm = torch.empty(n_users, dtype=torch.float64, device=z.device)
    mismatch = torch.empty(n_users, n_users, dtype=torch.float64, device=z.device)
    for v in range(n_users):
        own = scale[[v]], targets[[v]]
        norm[v] = gradient_norms(decoder, z[v], weights, *own, loss)[0]
        for start in range(0, n_users, LOSSES_AT_ONCE):
            others = slice(start, start + LOSSES_AT_ONCE)
            mismatch[others, v] = gradient_norms(
                decoder, z[v], weights, scale[others] - own[0], targets[others] - own[1], loss
            )
    return norm, mismatch.fill_diagonal_(0)


def sharing_graph(
    decoder: Decoder,
    z: Float[Tensor, "users draws latent"],
    histories: csr_array,
    *,
    least_distance: Float64[np.ndarray, "users users"],
    most_distance: Float64[np.ndarray, "users users"],
    rng: torch.Generator,
    n_pairs: int = 64,
    loss: Loss = MULTINOMIAL,
    lipschitz: Float[Tensor, " users"] | None = None,
) -> SharingGraph:
    """Theorem 2.3 measured on a sample of users.

    For a sample: time grows with its square, one pass of back-propagation through the hidden
    layers a pair; memory is users x items and users x users.

    Args:
        decoder: f.
        z: latents drawn of each user's posterior, as the decoder is given them.
        histories: of the users, of ones.
        least_distance: a lower bound of W1 between their posteriors, in units of z.
        most_distance: an upper bound of it.
        rng: what pairs are drawn from, on the CPU.
        n_pairs: pairs of latents that L is estimated from.
        loss: l.
        lipschitz: L of each user where known, as from `lipschitz_bound`. Without it, it is
            `lipschitz_estimate`: a lower bound of L, so that the radii are upper bounds and
            `surely_within` is sure only up to this.

    Raises:
        SettingsError: n_pairs is below 1 where L is estimated.
        DataError: latents and histories are not of the same users, or of none.
    """
    if len(z) != histories.shape[0] or not len(z):
        raise DataError(
            f"there are latents of {len(z)} users and {histories.shape[0]} histories; "
            "give both of the same users, at least one"
        )
    z = z.to(decoder.out.weight)
    x = torch.from_numpy(histories.toarray()).to(z)
    norm, mismatch = mean_gradients(decoder, z, x, loss)
    if lipschitz is None:
        lipschitz = lipschitz_estimate(decoder, z.flatten(0, 1), x, n_pairs, rng, loss)
    return SharingGraph(
        gradient_norm=norm.cpu().numpy(),
        mismatch=mismatch.cpu().numpy(),
        lipschitz=lipschitz.double().cpu().numpy(),
        least_distance=least_distance,
        most_distance=most_distance,
    )
