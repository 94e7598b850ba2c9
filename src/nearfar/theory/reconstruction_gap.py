"""What the overlap of two posteriors costs reconstruction (Theorem 2.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Real
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.errors import DataError, SettingsError
from nearfar.vae.posterior import DiagonalGaussian, log_normal


@dataclass(frozen=True, eq=False)
class ReconstructionGap:
    """G of pairs of users, in nats an interaction.

    Attributes:
        nats: Float[Tensor, " pairs"], the Monte Carlo estimate, without bias.
        standard_error: Float[Tensor, " pairs"], its standard error in nats.
    """

    nats: Float[Tensor, " pairs"]
    standard_error: Float[Tensor, " pairs"]


def jensen_gap(
    share: Float[Tensor, "*draws pairs"],
    n_u: Real[Tensor, " pairs"],
    n_v: Real[Tensor, " pairs"],
    n_shared: Real[Tensor, " pairs"],
) -> Float[Tensor, "*draws pairs"]:
    """J = r A*(T_u) + (1 - r) A*(T_v) - A*(r T_u + (1 - r) T_v) in nats, at least 0.

    The family is the categorical one, an interaction being one draw: T(x) = x / |x|,
    A = logsumexp, A*(t) = sum_i t_i log t_i. J is then the Jensen-Shannon divergence of the two
    histories with weights r and 1 - r, and depends on three counts only.

    Notation: `share` = r = q_u / (q_u + q_v); `n_u`, `n_v` = |x_u|, |x_v|; `n_shared` = number
    of items that are in both.
    Source: Theorem 2.5.
    """
    from_u, from_v = share / n_u, (1 - share) / n_v
    entropy = -(
        n_shared * torch.xlogy(from_u + from_v, from_u + from_v)
        + (n_u - n_shared) * torch.xlogy(from_u, from_u)
        + (n_v - n_shared) * torch.xlogy(from_v, from_v)
    )
    return (entropy - share * n_u.log() - (1 - share) * n_v.log()).clamp(min=0)


def reconstruction_gap(
    q_u: DiagonalGaussian,
    q_v: DiagonalGaussian,
    x_u: csr_array,
    x_v: csr_array,
    *,
    n_samples: int,
    rng: torch.Generator,
) -> ReconstructionGap:
    """G = int (q_u + q_v) J(z) dz of each pair, by `n_samples` latents of either posterior.

    What is left of a pair's reconstruction loss when the decoder may give any natural
    parameters to any z, above what each user alone would pay: between 0 (disjoint posteriors,
    or equal T) and 2 log 2 (equal posteriors, no item in common). The loss is per interaction:
    -log p(x|z) / |x| of Eq. 1.

    Args:
        q_u: posteriors of the first users of the pairs, (pairs, latent).
        q_v: posteriors of the second ones.
        x_u: their histories, (pairs, items), of ones.
        x_v: those of the second ones.
        n_samples: latents drawn of each posterior; memory grows with pairs x latent, time with
            n_samples too.
        rng: what is drawn from.

    Source: Theorem 2.5.

    Raises:
        SettingsError: n_samples is below 2.
        DataError: a history is empty, so that T is not defined; or a posterior is a point (a
            variance of 0), which has no density.
    """
    if n_samples < 2:
        raise SettingsError(f"n_samples is {n_samples}; an error of the mean needs at least 2")
    n_u, n_v = (torch.from_numpy(np.diff(x.indptr)).double() for x in (x_u, x_v))
    if not (n_u.all() and n_v.all()):
        raise DataError("a history is empty; leave out users without interactions")
    if not (q_u.logvar.isfinite().all() and q_v.logvar.isfinite().all()):
        raise DataError(
            "a posterior is a point without a density; give those of a variational autoencoder"
        )
    shared = torch.from_numpy(np.asarray(x_u.multiply(x_v).sum(1)).ravel()).double()
    q_u, q_v = (DiagonalGaussian(q.mu.double(), q.logvar.double()) for q in (q_u, q_v))
    total, variance = torch.zeros_like(n_u), torch.zeros_like(n_u)
    for q in (q_u, q_v):
        draws = torch.stack([_gap_at_a_draw(q, q_u, q_v, n_u, n_v, shared, rng)
                             for _ in range(n_samples)])  # fmt: skip
        total += draws.mean(0)
        variance += draws.var(0) / n_samples
    return ReconstructionGap(total, variance.sqrt())


def _gap_at_a_draw(
    q: DiagonalGaussian,
    q_u: DiagonalGaussian,
    q_v: DiagonalGaussian,
    n_u: Tensor,
    n_v: Tensor,
    n_shared: Tensor,
    rng: torch.Generator,
) -> Float[Tensor, " pairs"]:
    noise = torch.randn(q.mu.shape, generator=rng, dtype=q.mu.dtype)
    z = q.sample(noise)
    log_ratio = (log_normal(z, q_u.mu, q_u.logvar) - log_normal(z, q_v.mu, q_v.logvar)).sum(1)
    return jensen_gap(torch.sigmoid(log_ratio), n_u, n_v, n_shared)


def transport_bound(
    kl_u: Float[Tensor, " pairs"], kl_v: Float[Tensor, " pairs"], constant: float = 1.0
) -> Float[Tensor, " pairs"]:
    """sqrt(2C KL_u) + sqrt(2C KL_v) >= W1(q_u, q_v), in units of z; the KLs in nats.

    The pull to the prior bounds how far apart two users can be.

    Args:
        kl_u: KL(q_u || p) of the first users.
        kl_v: KL(q_v || p) of the second ones.
        constant: C of the prior's transport inequality; 1 for N(0, I).

    Source: Theorem 2.5.

    Raises:
        SettingsError: the constant is not above 0.
    """
    _check_constant(constant)
    return (2 * constant * kl_u).sqrt() + (2 * constant * kl_v).sqrt()


def mean_transport_bound(mean_kl: float, constant: float = 1.0) -> float:
    """2 sqrt(2C E KL) >= E W1 over pairs of independent users, in units of z; the KL in nats.

    Source: Eq. 5-6; with masked inputs, the KL is that of q(z|x~).

    Raises:
        SettingsError: the constant is not above 0.
    """
    _check_constant(constant)
    return 2 * (2 * constant * mean_kl) ** 0.5


def _check_constant(constant: float) -> None:
    if not constant > 0:
        raise SettingsError(f"constant is {constant}; it must be above 0 (1 for N(0, I))")
