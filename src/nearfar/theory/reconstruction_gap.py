"""The reconstruction cost of overlapping posteriors (Theorem 2.5)."""

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
    """G of pairs of users, in nats per interaction.

    Attributes:
        nats: the unbiased Monte Carlo estimate.
        standard_error: its standard error, in nats.
    """

    nats: Float[Tensor, " pairs"]
    standard_error: Float[Tensor, " pairs"]


def jensen_gap(
    share: Float[Tensor, "*draws pairs"],
    n_u: Real[Tensor, " pairs"],
    n_v: Real[Tensor, " pairs"],
    n_shared: Real[Tensor, " pairs"],
) -> Float[Tensor, "*draws pairs"]:
    """Compute J = r A*(T_u) + (1 - r) A*(T_v) - A*(r T_u + (1 - r) T_v) in nats, at least 0.

    The family is categorical, with one draw per interaction: T(x) = x / |x|, A = logsumexp,
    A*(t) = sum_i t_i log t_i. J is then the Jensen-Shannon divergence of the two histories with
    weights r and 1 - r, and depends on three counts only.

    Notation: `share` = r = q_u / (q_u + q_v); `n_u`, `n_v` = |x_u|, |x_v|; `n_shared` = number
    of items in both histories.
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
    """Estimate G = int (q_u + q_v) J(z) dz of each pair from samples of both posteriors.

    G is the least reconstruction loss of a pair, over all decoders from z to natural parameters,
    in excess of the loss of each user alone. It lies between 0 (disjoint posteriors or equal T)
    and 2 log 2 (equal posteriors without a common item). The loss is per interaction:
    -log p(x|z) / |x| of Eq. 1.

    Source: Theorem 2.5.

    Args:
        q_u: posteriors of the first users of the pairs, (pairs, latent).
        q_v: posteriors of the second users.
        x_u: histories of the first users, (pairs, items), of ones.
        x_v: histories of the second users.
        n_samples: latents drawn from each posterior. Memory grows with pairs x latent; time also
            grows with n_samples.
        rng: random generator.

    Raises:
        SettingsError: `n_samples` is below 2.
        DataError: a history is empty, so that T is undefined; or a posterior is a point (variance
            0), which has no density.
    """
    if n_samples < 2:
        raise SettingsError(f"n_samples is {n_samples}; a standard error needs at least 2")
    n_u, n_v = (torch.from_numpy(np.diff(x.indptr)).double() for x in (x_u, x_v))
    if not (n_u.all() and n_v.all()):
        raise DataError("a history is empty; leave out users without interactions")
    if not (q_u.logvar.isfinite().all() and q_v.logvar.isfinite().all()):
        raise DataError(
            "a posterior is a point without a density; give posteriors of a variational autoencoder"
        )
    shared = torch.from_numpy(np.asarray(x_u.multiply(x_v).sum(1)).ravel()).double()
    q_u, q_v = (DiagonalGaussian(q.mu.double(), q.logvar.double()) for q in (q_u, q_v))
    total, variance = torch.zeros_like(n_u), torch.zeros_like(n_u)
    for q in (q_u, q_v):
        draws = torch.stack([_gap_at_draw(q, q_u, q_v, n_u, n_v, shared, rng)
                             for _ in range(n_samples)])  # fmt: skip
        total += draws.mean(0)
        variance += draws.var(0) / n_samples
    return ReconstructionGap(total, variance.sqrt())


def _gap_at_draw(
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
    """Compute sqrt(2C KL_u) + sqrt(2C KL_v) >= W1(q_u, q_v), in units of z; the KLs in nats.

    The KL to the prior bounds the distance of two users.

    Source: Theorem 2.5.

    Args:
        kl_u: KL(q_u || p) of the first users.
        kl_v: KL(q_v || p) of the second users.
        constant: C of the prior's transport inequality; 1 for N(0, I).

    Raises:
        SettingsError: the constant is not above 0.
    """
    _check_constant(constant)
    return (2 * constant * kl_u).sqrt() + (2 * constant * kl_v).sqrt()


def mean_transport_bound(mean_kl: float, constant: float = 1.0) -> float:
    """Compute 2 sqrt(2C E KL) >= E W1 over pairs of independent users, in units of z; KL in nats.

    Source: Eq. 5-6; with masked inputs, the KL is that of q(z|x~).

    Raises:
        SettingsError: the constant is not above 0.
    """
    _check_constant(constant)
    return 2 * (2 * constant * mean_kl) ** 0.5


def _check_constant(constant: float) -> None:
    if not constant > 0:
        raise SettingsError(f"constant is {constant}; it must be above 0 (1 for N(0, I))")
