"""Propositions 3.1 and 3.2: the parts of the alignment, and how it contracts posteriors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from nearfar.core.errors import DataError, SettingsError
from nearfar.kernels.rows import Rows
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.terms.alignment import centroid_and_spread

ASYMMETRY = 1e-8
"""Rounding tolerance, relative to the norm, for a symmetric and non-negative Hessian."""


@dataclass(frozen=True, eq=False)
class AlignmentParts:
    """The three parts of A(x) = ||mu(x~) - c||^2 + tr Sigma(x~) + V(S), in latent units squared.

    All parts are 0 for a user without items.

    Source: Proposition 3.1 (Eq. 10).

    Args:
        squared_drift: ||mu(x~) - c||^2, from the mean to the centroid of the user's anchors.
        trace: tr Sigma(x~), the variance of the posterior.
        spread: V(S), the variance of the user's anchors about their centroid; it does not depend
            on the encoder.
        centroids: c, the mean of the anchors of the user's items.
    """

    squared_drift: Float64[np.ndarray, " users"]
    trace: Float64[np.ndarray, " users"]
    spread: Float64[np.ndarray, " users"]
    centroids: Float64[np.ndarray, "users latent"]

    @property
    def total(self) -> Float64[np.ndarray, " users"]:
        """A(x)."""
        return self.squared_drift + self.trace + self.spread


@torch.no_grad()
def alignment_parts(q: DiagonalGaussian, anchors: Tensor, histories: Rows) -> AlignmentParts:
    """Compute the three parts of Proposition 3.1, in float64.

    Args:
        q: posteriors of clean or masked histories.
        anchors: e_i, items x latent.
        histories: the full histories, whose positives are S.

    Raises:
        DataError: users, items or dimensions do not match.
    """
    expected = (histories.n_users, anchors.shape[1])
    if tuple(q.mu.shape) != expected or len(anchors) != histories.n_items:
        raise DataError(
            f"posteriors have shape {tuple(q.mu.shape)} and anchors {tuple(anchors.shape)} for "
            f"{histories.n_users} users and {histories.n_items} items; give one posterior per user "
            "and one anchor per item, of the same dimensions"
        )
    centroid, spread = centroid_and_spread(anchors.detach().double(), histories)
    drift = (q.mu.double() - centroid).square().sum(1)
    parts = torch.stack([drift, q.logvar.double().exp().sum(1), spread.clamp(min=0)])
    drift, trace, spread = torch.where(histories.counts > 0, parts, 0.0).cpu().numpy()
    return AlignmentParts(drift, trace, spread, centroid.cpu().numpy())


@dataclass(frozen=True, eq=False)
class Contraction:
    """The contraction of a quadratic objective's optimum by the alignment lambda ||mu - c||^2.

    Under the mask b the optimum is mu*(b) without alignment and mu_lambda(b) with it, and
    mu_lambda(b) - c = M (mu*(b) - c), M = (H + 2 lambda I)^-1 H. This is exact if the objective
    is quadratic in mu with the same Hessian under all masks, and a prediction otherwise.

    Notation: `hessian` = H; `align_weight` = lambda; `matrix` = M; `kappa` = kappa.
    Source: Proposition 3.2.

    Args:
        hessian: Hessian in mu of the objective without alignment, in nats per latent unit
            squared; symmetric, without negative eigenvalues.
        align_weight: lambda_A, at least 0: the weight of ||mu - c||^2 summed over dimensions.

    Raises:
        SettingsError: `align_weight` is negative.
        DataError: `hessian` is not square, not symmetric or has a negative eigenvalue.
    """

    hessian: Float64[np.ndarray, "latent latent"]
    align_weight: float

    def __post_init__(self) -> None:
        if not self.align_weight >= 0:
            raise SettingsError(f"align_weight is {self.align_weight}; it must not be negative")
        h = self.hessian
        if h.ndim != 2 or h.shape[0] != h.shape[1] or not np.isfinite(h).all():
            raise DataError(f"the Hessian has shape {h.shape}; give a finite, square matrix")
        slack = ASYMMETRY * float(np.abs(h).max(initial=0))
        if np.abs(h - h.T).max(initial=0) > slack:
            raise DataError("the Hessian is not symmetric; give (H + H') / 2 if it is of samples")
        lowest = float(np.linalg.eigvalsh(h).min(initial=0))
        if lowest < -len(h) * slack:
            raise DataError(
                f"the Hessian has the eigenvalue {lowest:.3g}; the proposition needs a minimum, "
                "where no eigenvalue is negative"
            )

    @property
    def matrix(self) -> Float64[np.ndarray, "latent latent"]:
        """M = (H + 2 lambda I)^-1 H, by the eigenvectors of H; the identity where lambda is 0."""
        values, vectors = np.linalg.eigh(self.hessian)
        return (vectors * self._factors(values)) @ vectors.T

    @property
    def kappa(self) -> float:
        """||M|| = h_max / (h_max + 2 lambda), at most 1: the largest factor that remains."""
        return float(self._factors(np.linalg.eigvalsh(self.hessian)).max())

    def optimum(
        self,
        mu: Float64[np.ndarray, "masks latent"],
        centroid: Float64[np.ndarray, " latent"],
    ) -> Float64[np.ndarray, "masks latent"]:
        """Return mu_lambda(b) = c + M (mu*(b) - c) for each mask b."""
        return centroid + (mu - centroid) @ self.matrix.T

    def covariance(
        self, covariance: Float64[np.ndarray, "latent latent"]
    ) -> Float64[np.ndarray, "latent latent"]:
        """Return Cov mu_lambda = M Cov(mu*) M, over masks."""
        matrix = self.matrix
        return matrix @ covariance @ matrix.T

    def bound(self, without: MaskVariability) -> MaskVariability:
        """Return upper bounds with alignment: kappa^2 times norm and trace, kappa times drift."""
        kappa = self.kappa
        return MaskVariability(
            kappa**2 * without.covariance_norm, kappa**2 * without.trace, kappa * without.drift
        )

    def _factors(self, values: np.ndarray) -> np.ndarray:
        """Return h / (h + 2 lambda) for eigenvalues h; 1 for lambda = 0, also where h is 0."""
        if self.align_weight == 0:
            return np.ones_like(values)
        values = np.maximum(values, 0)
        return values / (values + 2 * self.align_weight)


@dataclass(frozen=True)
class MaskVariability:
    """The variation of one user's posterior mean across masks.

    Args:
        covariance_norm: ||Cov_b mu(b)||, the largest eigenvalue, in latent units squared.
        trace: tr Cov_b mu(b), in latent units squared.
        drift: E_b ||mu(b) - c||, in latent units.
    """

    covariance_norm: float
    trace: float
    drift: float


def mask_variability(
    mu: Float64[np.ndarray, "masks latent"], centroid: Float64[np.ndarray, " latent"]
) -> MaskVariability:
    """Measure how one user's posterior means vary under n masks.

    The covariance is divided by n. It is exact if these are all masks; for a sample its
    expectation is (1 - 1/n) of the covariance over all masks, with and without alignment, so
    ratios over the same masks stay comparable.

    Raises:
        DataError: there is no mask, or the dimensions do not match.
    """
    if mu.ndim != 2 or not len(mu) or centroid.shape != mu.shape[1:]:
        raise DataError(
            f"means have shape {mu.shape} and the centroid {centroid.shape}; give masks x latent "
            "with at least one mask, and a vector of the same dimensions"
        )
    covariance = mask_covariance(mu)
    return MaskVariability(
        float(np.linalg.eigvalsh(covariance).max()),
        float(np.trace(covariance)),
        float(np.linalg.norm(mu - centroid, axis=1).mean()),
    )


def mask_covariance(
    mu: Float64[np.ndarray, "masks latent"],
) -> Float64[np.ndarray, "latent latent"]:
    """Compute Cov_b mu(b) over the given masks, divided by their number."""
    centred = mu - mu.mean(0)
    return centred.T @ centred / len(mu)
