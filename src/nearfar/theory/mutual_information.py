"""The two parts of the KL: information about the user, and mismatch with the prior (Eq. 5-7)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from nearfar.core.errors import DataError, SettingsError
from nearfar.vae.posterior import DiagonalGaussian, log_normal
from nearfar.vae.priors.prior import Density

BLOCK_DRAWS = 1024


@dataclass(frozen=True)
class KLDecomposition:
    """E KL(q(z|x) || p) = I_q(X; Z) + KL(qbar || p), p the prior, all in nats per user.

    qbar is the aggregated posterior of all users. Only a sample of its posteriors is known, so I
    has a lower and an upper estimate, and so has the mismatch, which is the rest of the KL:

    - `information_low` includes a latent's own posterior in the mixture. Its mean over samples is
      at most I, and it is at most log n_users, so it says little for large I. If the sample is the
      whole population it is unbiased.
    - `information_high` leaves the own posterior out. Its mean is at least I.

    Standard errors are over users, as if qbar were known. The distance of low from high shows the
    error of the sample's qbar.

    Source: Eq. 5-7; the two estimates are Eq. 12 and 13 of Poole et al., On Variational Bounds
    of Mutual Information, 2019.

    Attributes:
        n_users: size of the sample.
        kl: mean of KL(q(z|x) || p), in closed form for N(0, I), else from latents; unbiased.
        kl_error: standard error of `kl`.
        information_low: lower estimate of I.
        information_low_error: standard error of `information_low`.
        information_high: upper estimate of I.
        information_high_error: standard error of `information_high`.
        sampled_kl: mean of log q(z|x) - log p(z) over the latents that the estimates of I and the
            mismatch use; unbiased, differs from `kl` by sampling.
        sampled_kl_error: standard error of sampled_kl - kl.
        standard_kl: mean of KL(q(z|x) || N(0, I)), for any prior.
        knows_user: whether the prior depends on the user's history, as a composite prior does.
            Then the KL does not bound I, and the rest of it is not a mismatch.
    """

    n_users: int
    kl: float
    kl_error: float
    information_low: float
    information_low_error: float
    information_high: float
    information_high_error: float
    sampled_kl: float
    sampled_kl_error: float
    standard_kl: float
    knows_user: bool = False

    @property
    def mismatch_low(self) -> float:
        """KL(qbar || p) by `information_high`: its mean is at most the true one.

        It is NaN if the prior knows the user, and so is `mismatch_high`.
        """
        return math.nan if self.knows_user else self.sampled_kl - self.information_high

    @property
    def mismatch_high(self) -> float:
        """KL(qbar || p) by `information_low`: its mean is at least the true one."""
        return math.nan if self.knows_user else self.sampled_kl - self.information_low

    def information_interval(self, z: float = 1.96) -> tuple[float, float]:
        """Return an interval for I: low and high, each widened by `z` of its standard errors.

        It is cut at 0 and at E KL (widened too), since the mismatch is at least 0. If the prior
        knows the user, it is cut at the KL to N(0, I), a prior that is the same for all users.
        """
        low = self.information_low - z * self.information_low_error
        high = self.information_high + z * self.information_high_error
        most = self.standard_kl if self.knows_user else self.kl + z * self.kl_error
        most = max(0.0, most)
        return min(max(0.0, low), most), max(0.0, min(high, most))


def decompose_kl(
    posterior: DiagonalGaussian,
    *,
    rng: torch.Generator,
    n_draws: int = 1,
    log_prior: Density | None = None,
    knows_user: bool = False,
) -> KLDecomposition:
    """Decompose the KL, from the posteriors of a sample of independent users.

    With masked inputs it decomposes the KL of X~: give posteriors of one mask per user. Time grows
    with users^2 x draws x latent, memory with 1024 x users.

    Args:
        posterior: q(z|x) of the sample's users, without a flow.
        rng: random generator of the latents, on the CPU.
        n_draws: latents per user.
        log_prior: log p of the model's prior for these users; by default N(0, I).
        knows_user: see `KLDecomposition`.

    Raises:
        SettingsError: `n_draws` is below 1, or the sample has fewer than two users.
        DataError: a posterior is a point (variance 0), whose KL is infinite.

    Examples:
        >>> from nearfar.theory.mutual_information import decompose_kl
        >>> posterior = vae.encode(split.test.fold_in.x)
        >>> parts = decompose_kl(posterior, rng=torch.Generator().manual_seed(1))
        >>> parts.kl > 0
        True
    """
    mu, logvar = (t.detach().to("cpu", torch.float64) for t in (posterior.mu, posterior.logvar))
    n_users = len(mu)
    if n_draws < 1 or n_users < 2:
        raise SettingsError(
            f"n_draws is {n_draws} and there are {n_users} users; expected at least 1 and 2"
        )
    if not logvar.isfinite().all():
        raise DataError(
            "a posterior is a point and its KL is infinite; give posteriors of a variational "
            "autoencoder"
        )
    q = DiagonalGaussian(mu, logvar)
    kl = 0.5 * (mu.square() + q.variance - 1 - logvar).sum(1)
    low, high, sampled = (torch.zeros_like(kl) for _ in range(3))
    for _ in range(n_draws):
        z = q.sample(torch.randn(mu.shape, generator=rng, dtype=torch.float64))
        log_own = log_normal(z, mu, logvar).sum(1)
        log_all, log_others = _log_aggregate(z, q)
        low += (log_own - log_all) / n_draws
        high += (log_own - log_others) / n_draws
        zero = torch.zeros_like(mu[:1])
        log_p = log_normal(z, zero, zero).sum(1) if log_prior is None else log_prior(z)
        sampled += (log_own - log_p.double().cpu()) / n_draws
    standard = kl
    kl = kl if log_prior is None else sampled
    return KLDecomposition(
        n_users=n_users,
        kl=float(kl.mean()),
        kl_error=_error(kl),
        information_low=float(low.mean()),
        information_low_error=_error(low),
        information_high=float(high.mean()),
        information_high_error=_error(high),
        sampled_kl=float(sampled.mean()),
        sampled_kl_error=_error(sampled - kl),
        standard_kl=float(standard.mean()),
        knows_user=knows_user,
    )


def _log_aggregate(
    z: Float64[Tensor, "users latent"], q: DiagonalGaussian
) -> tuple[Float64[Tensor, " users"], Float64[Tensor, " users"]]:
    """Return the log of the mean density at each latent: of all posteriors, and without its own."""
    n_users = len(z)
    precision = torch.exp(-q.logvar)
    constant = log_normal(torch.zeros_like(q.mu), q.mu, q.logvar).sum(1)
    slope = (q.mu * precision).T
    log_all, log_others = [], []
    for start in range(0, n_users, BLOCK_DRAWS):
        batch = z[start : start + BLOCK_DRAWS]
        log_density = constant + batch @ slope - 0.5 * batch.square() @ precision.T
        log_all.append(torch.logsumexp(log_density, 1) - math.log(n_users))
        rows = torch.arange(len(batch))
        log_density[rows, start + rows] = -math.inf
        log_others.append(torch.logsumexp(log_density, 1) - math.log(n_users - 1))
    return torch.cat(log_all), torch.cat(log_others)


def _error(values: Float64[Tensor, " users"]) -> float:
    return float(values.std() / math.sqrt(len(values)))
