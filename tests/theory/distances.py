"""Distances of posteriors, from the pieces that the instruments use."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from nearfar.theory.encoder_lipschitz import steepest_pair
from nearfar.theory.transport import gaussian_points, pairwise_distance
from nearfar.vae.posterior import DiagonalGaussian


def mean_distance(q: DiagonalGaussian, other: DiagonalGaussian) -> np.ndarray:
    """||mu_u - mu'_u|| user by user: at most W1."""
    return (q.mu.double() - other.mu.double()).norm(dim=1).numpy()


def pairwise_w2(
    q: DiagonalGaussian, others: DiagonalGaussian | None = None, **settings: int
) -> np.ndarray:
    """W2(q_u, q_v) of all pairs, at least W1."""
    columns = None if others is None else gaussian_points(others)
    return pairwise_distance(gaussian_points(q), columns, **settings)


def pairwise_mean_distance(
    q: DiagonalGaussian, others: DiagonalGaussian | None = None, **settings: int
) -> np.ndarray:
    """||mu_u - mu_v|| of all pairs, at most W1."""
    columns = None if others is None else others.mu.double().numpy()
    return pairwise_distance(q.mu.double().numpy(), columns, **settings)


def lipschitz_from_pairs(q: DiagonalGaussian, histories: csr_array) -> float:
    """The steepest pair of these users, by W2."""
    return steepest_pair(gaussian_points(q), histories)
