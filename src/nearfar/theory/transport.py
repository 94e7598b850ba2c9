"""Wasserstein distances between posteriors: closed forms, bounds and estimates from samples."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from torch import Tensor

from nearfar.core.errors import DataError
from nearfar.core.seeding import generator
from nearfar.vae.posterior import DiagonalGaussian

BATCH_USERS = 1024
CANCELLED = 1e-6
"""Squared distance relative to the squared norms, below which the difference of products has lost
half of its digits or more."""


def w2(q: DiagonalGaussian, other: DiagonalGaussian) -> Float64[np.ndarray, " users"]:
    """Compute W2(q_u, q'_u) of each user: sqrt(||mu - mu'||^2 + ||sigma - sigma'||^2).

    It is at least W1, by Jensen's inequality. A posterior that is a point has sigma = 0.

    Source: Eq. 18, the closed form for diagonal Gaussians.

    Raises:
        DataError: the shapes differ.

    Examples:
        >>> from nearfar.theory.transport import w2
        >>> posterior = vae.encode(split.test.fold_in.x)
        >>> float(w2(posterior, posterior).max())
        0.0
    """
    return np.linalg.norm(gaussian_points(q) - gaussian_points(other, q), axis=1)


def sampled_w1(
    q: DiagonalGaussian,
    other: DiagonalGaussian,
    n_samples: int = 256,
    seed: int = 0,
) -> Float64[np.ndarray, " users"]:
    """Estimate W1(q_u, q'_u) of each user by optimal transport between samples.

    It solves the assignment of least total cost between the samples of each pair, with
    n_samples^2 numbers and about n_samples^3 steps per pair.

    Both posteriors are sampled with the same noise. The estimate is then symmetric, zero for equal
    posteriors, and ||mu - mu'|| for equal variances. Its expectation lies between W1 and W2: it is
    biased upwards, and in many dimensions the bias falls slowly with `n_samples`. So it can refute
    a lower bound of W1, but for an upper bound it only shows the margin.

    Raises:
        DataError: the shapes differ.

    Examples:
        >>> from nearfar.theory.transport import sampled_w1
        >>> posterior = vae.encode(split.test.fold_in.x)
        >>> sampled_w1(posterior, posterior, n_samples=8).shape
        (10,)
    """
    first, second = gaussian_points(q), gaussian_points(other, q)
    n_latent = q.mu.shape[1]
    rng = generator(seed, "sampled-w1")
    distances = np.zeros(len(first))
    for user in range(len(first)):
        noise = rng.standard_normal((n_samples, n_latent))
        a, b = (p[:n_latent] + p[n_latent:] * noise for p in (first[user], second[user]))
        distances[user] = empirical_w1(a, b)
    return distances


def empirical_w1(
    first: Float[np.ndarray, "samples latent"], second: Float[np.ndarray, "samples latent"]
) -> float:
    """Compute W1 between two equally large sets of points exactly, by the cheapest assignment.

    Raises:
        DataError: the shapes differ.
    """
    if first.shape != second.shape:
        raise DataError(
            f"samples have shapes {first.shape} and {second.shape}; give equally many of each"
        )
    costs = cdist(first, second)
    rows, columns = linear_sum_assignment(costs)
    return math.fsum(costs[rows, columns]) / len(costs)


def gaussian_points(
    q: DiagonalGaussian, like: DiagonalGaussian | None = None
) -> Float64[np.ndarray, "users twice"]:
    """Return (mu, sigma) of each user: their Euclidean distance is W2 (Eq. 18)."""
    mu = _float64(q.mu, None if like is None else like.mu)
    return np.concatenate([mu, np.exp(0.5 * _float64(q.logvar))], axis=1)


def coupled_points(
    z: Float[Tensor, "users draws latent"],
) -> Float64[np.ndarray, "users coordinates"]:
    """Return each user's draws as one point; the Euclidean distance of points is at least W2.

    It is for latents behind a flow, whose W2 has no closed form. With noise shared by users, the
    distance is the root mean squared distance of the draws: the cost of moving one user's latents
    onto the other's draw by draw, an upper bound of W2 that diagonal Gaussians attain. With few
    draws it is an estimate of that bound.
    """
    n_draws = z.shape[1]
    return _float64(z).reshape(len(z), -1) / math.sqrt(n_draws)


def _float64(x: Tensor, like: Tensor | None = None) -> np.ndarray:
    if like is not None and x.shape != like.shape:
        raise DataError(
            f"posteriors have shapes {tuple(like.shape)} and {tuple(x.shape)}; "
            "give the same number of users and dimensions for both"
        )
    return x.detach().to("cpu", torch.float64).numpy()


def pairwise_distance(
    points: Float64[np.ndarray, "users coordinates"],
    others: Float64[np.ndarray, "others coordinates"] | None = None,
    batch_size: int = BATCH_USERS,
) -> Float64[np.ndarray, "users others"]:
    """Compute Euclidean distances of all pairs, by ||a||^2 + ||b||^2 - 2 <a, b>.

    It never builds a users x others x coordinates array. Pairs so near that the products cancel
    are computed from their difference, so that equal points have distance exactly 0.

    Args:
        points: points of the rows.
        others: points of the columns; None for `points`, with a diagonal of exact zeros.
        batch_size: rows per batch.

    Examples:
        >>> from nearfar.theory.transport import pairwise_distance
        >>> from nearfar.theory.transport import gaussian_points
        >>> points = gaussian_points(vae.encode(split.test.fold_in.x))
        >>> pairwise_distance(points).shape
        (10, 10)
    """
    centre = points.mean(0)  # points near the origin lose fewer digits by cancellation
    rows = points - centre
    columns = rows if others is None else others - centre
    squares = np.square(columns).sum(1)
    distances = np.empty((len(rows), len(columns)))
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        block = distances[start : start + batch_size]
        np.matmul(batch, columns.T, out=block)
        block *= -2
        squared_norms = np.square(batch).sum(1)[:, None] + squares
        block += squared_norms
        near_rows, near_columns = np.nonzero(block <= CANCELLED * squared_norms)
        for first in range(0, len(near_rows), batch_size):
            i, j = (near[first : first + batch_size] for near in (near_rows, near_columns))
            block[i, j] = np.square(batch[i] - columns[j]).sum(1)
        np.sqrt(block, out=block)
    if others is None:
        np.fill_diagonal(distances, 0)
    return distances
