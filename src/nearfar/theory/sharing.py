"""The sharing radius of Theorem 2.3, for all pairs of a sample of users."""

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
    """The pairs of users in which a gradient step on one must help the other, to first order.

    Row u is the user who is helped, column v the user on whom the step is taken.

    Attributes:
        gradient_norm: ||g_v||, in nats per unit of the decoder's parameters.
        mismatch: Delta_uv, in the same unit; zero on the diagonal.
        lipschitz: L of l_u, in that unit per unit of z.
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
        """r_uv = (||g_v|| - Delta_uv) / L in units of z; a negative radius holds no distance.

        It is at most the true radius if `lipschitz` is an upper bound of L, and at least the true
        one if `lipschitz` is an estimate from sampled pairs. For L = 0 the loss does not depend on
        z and the radius is infinite, with the sign of ||g_v|| - Delta_uv.
        """
        margin = self.gradient_norm - self.mismatch
        slope = np.broadcast_to(self.lipschitz[:, None], margin.shape)
        infinite = np.where(margin > 0, np.inf, -np.inf)
        return np.divide(margin, slope, out=infinite, where=slope > 0)

    @property
    def surely_within(self) -> Bool[np.ndarray, "users users"]:
        """Pairs with W2 < r_uv, so that W1 < r_uv; the diagonal is left out."""
        return self._off_diagonal(self.most_distance < self.radius)

    @property
    def maybe_within(self) -> Bool[np.ndarray, "users users"]:
        """Pairs with ||mu_u - mu_v|| < r_uv; no other pair can have W1 < r_uv."""
        return self._off_diagonal(self.least_distance < self.radius)

    def _off_diagonal(self, pairs: np.ndarray) -> Bool[np.ndarray, "users users"]:
        return pairs & ~np.eye(len(pairs), dtype=bool)


def mean_gradients(
    decoder: Decoder,
    z: Float[Tensor, "users draws latent"],
    x: Float[Tensor, "users items"],
    loss: Loss = MULTINOMIAL,
) -> tuple[Float[Tensor, " users"], Float[Tensor, "users users"]]:
    """Compute ||g_v|| and Delta_uv (row u, column v) from the latents z of each user v.

    g_v = E_{q_v} grad l_v and Delta_uv = || E_{q_v} [grad l_u - grad l_v] ||, with l the loss of
    a user's whole history in nats (Eq. 1). Expectations are means over the latents. The norm of
    such a mean is biased upwards, less so with more draws.

    Source: Theorem 2.3.

    Args:
        decoder: f.
        z: latents drawn from each user's posterior.
        x: histories of ones.
        loss: l.
    """
    n_users, n_draws, _ = z.shape
    targets = loss.targets(x)
    weights = torch.full((n_draws,), 1 / n_draws, dtype=torch.float64, device=z.device)
    scale = loss.scale(targets)
    norm = torch.empty(n_users, dtype=torch.float64, device=z.device)
    mismatch = torch.empty(n_users, n_users, dtype=torch.float64, device=z.device)
    for v in range(n_users):
        scale_v, targets_v = scale[[v]], targets[[v]]
        norm[v] = gradient_norms(decoder, z[v], weights, scale_v, targets_v, loss)[0]
        for start in range(0, n_users, LOSSES_AT_ONCE):
            others = slice(start, start + LOSSES_AT_ONCE)
            mismatch[others, v] = gradient_norms(
                decoder, z[v], weights, scale[others] - scale_v, targets[others] - targets_v, loss
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
    """Measure Theorem 2.3 on a sample of users.

    Time grows with the square of the sample: one back-propagation through the hidden layers per
    pair. Memory is users x items and users x users.

    Args:
        decoder: f.
        z: latents drawn from each user's posterior, as the decoder gets them.
        histories: histories of the users, of ones.
        least_distance: a lower bound of W1 between their posteriors, in units of z.
        most_distance: an upper bound of W1, in units of z.
        rng: random generator of the pairs, on the CPU.
        n_pairs: pairs of latents that L is estimated from.
        loss: l.
        lipschitz: L of each user if known, such as `lipschitz_bound`. By default it is
            `lipschitz_estimate`, a lower bound of L; then the radii are upper bounds and
            `surely_within` is not certain.

    Raises:
        SettingsError: L is to be estimated and `n_pairs` is below 1.
        DataError: latents and histories have different numbers of users, or none.
    """
    if len(z) != histories.shape[0] or not len(z):
        raise DataError(
            f"there are latents of {len(z)} users and {histories.shape[0]} histories; "
            "give both of the same users, at least one user"
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
