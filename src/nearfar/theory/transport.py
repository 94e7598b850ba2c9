"""Wasserstein distances between posteriors: closed forms, bounds and samples."""

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
"""Of the squared sizes: where a squared distance is less, the difference of the products has lost
half of its digits or more."""


def w2(q: DiagonalGaussian, other: DiagonalGaussian) -> Float64[np.ndarray, " users"]:
    """W2(q_u, q'_u) user by user: sqrt(||mu - mu'||^2 + ||sigma - sigma'||^2).

    At least W1, by Jensen's inequality. A posterior that is a point has sigma = 0.

    Source: Eq. 18, the closed form for diagonal Gaussians.
    Raises: DataError where the two are not of the same shape.

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
    """W1(q_u, q'_u) user by user, by optimal transport between samples: the oracle.

    Each pair's samples are moved onto each other at the least total cost; n_samples^2 numbers
    and about n_samples^3 steps a pair.

    Both sides are drawn with the same noise, which leaves the samples those of their posteriors
    and makes the estimate symmetric, zero for equal posteriors, and ||mu - mu'|| for equal
    variances. Its expectation lies between W1 and W2: it is biased upwards, in many dimensions
    slowly vanishing with `n_samples`. So it can refute a lower bound of W1, and of an upper
    bound only shows by how much it holds.

    Raises: DataError where the two are not of the same shape.

    Examples:
        >>> from nearfar.theory.transport import sampled_w1
        >>> posterior = vae.encode(split.test.fold_in.x)
        >>> sampled_w1(posterior, posterior, n_samples=8).shape
        (10,)
    """
    first, second = gaussian_points(q), gaussian_points(other, q)
    n_latent = q.mu.shape[1]
    rng = generator(seed, "sampled-w1")
    found = np.zeros(len(first))
    for user in range(len(first)):
        noise = rng.standard_normal((n_samples, n_latent))
        a, b = (p[:n_latent] + p[n_latent:] * noise for p in (first[user], second[user]))
        found[user] = empirical_w1(a, b)
    return found


def empirical_w1(
    first: Float[np.ndarray, "samples latent"], second: Float[np.ndarray, "samples latent"]
) -> float:
    """W1 between two equally large sets of points, exactly: the cheapest one-to-one assignment.

    Raises: DataError where the two are not of the same shape.
    """
    if first.shape != second.shape:
        raise DataError(
            f"samples have shapes {first.shape} and {second.shape}; give equally many of both"
        )
    costs = cdist(first, second)
    rows, columns = linear_sum_assignment(costs)
    return math.fsum(costs[rows, columns]) / len(costs)


def gaussian_points(
    q: DiagonalGaussian, like: DiagonalGaussian | None = None
) -> Float64[np.ndarray, "users twice"]:
    """(mu, sigma) of each user: W2 is the Euclidean distance of these (Eq. 18)."""
    mu = _float64(q.mu, None if like is None else like.mu)
    return np.concatenate([mu, np.exp(0.5 * _float64(q.logvar))], axis=1)


def coupled_points(
    z: Float[Tensor, "users draws latent"],
) -> Float64[np.ndarray, "users coordinates"]:
    """Draws of each user as one point, whose Euclidean distance is at least W2 and W1.

    With draws that share their noise it is the root of the mean squared distance, the cost of
    moving one user's latents onto the other's draw by draw: an upper bound of W2 that diagonal
    Gaussians attain. For latents behind a flow, whose W2 has no closed form. Of few draws it is an
    estimate of the bound.
    """
    n_draws = z.shape[1]
    return _float64(z).reshape(len(z), -1) / math.sqrt(n_draws)


def _float64(x: Tensor, like: Tensor | None = None) -> np.ndarray:
    if like is not None and x.shape != like.shape:
        raise DataError(
            f"posteriors have shapes {tuple(like.shape)} and {tuple(x.shape)}; "
            "give as many users and dimensions of both"
        )
    return x.detach().to("cpu", torch.float64).numpy()


def pairwise_distance(
    points: Float64[np.ndarray, "users coordinates"],
    others: Float64[np.ndarray, "others coordinates"] | None = None,
    batch_size: int = BATCH_USERS,
) -> Float64[np.ndarray, "users others"]:
    """Euclidean distances of all pairs, by ||a||^2 + ||b||^2 - 2 <a, b>.

    Nothing is users x others x coordinates. Pairs so near each other that the products cancel are
    computed from their difference, so that equal points are exactly 0 apart.

    Args:
        points: those of the rows.
        others: those of the columns; None for `points` themselves, with a diagonal of exact zeros.
        batch_size: rows made at once.

    Examples:
        >>> from nearfar.theory.transport import pairwise_distance
        >>> from nearfar.theory.transport import gaussian_points
        >>> points = gaussian_points(vae.encode(split.test.fold_in.x))
        >>> pairwise_distance(points).shape
        (10, 10)
    """
    centre = points.mean(0)  # the nearer to the origin, the less cancels
    rows = points - centre
    columns = rows if others is None else others - centre
    squares = np.square(columns).sum(1)
    found = np.empty((len(rows), len(columns)))
    for start in range(0, len(rows), batch_size):
        part = rows[start : start + batch_size]
        block = found[start : start + batch_size]
        np.matmul(part, columns.T, out=block)
        block *= -2
        sizes = np.square(part).sum(1)[:, None] + squares
        block += sizes
        near_rows, near_columns = np.nonzero(block <= CANCELLED * sizes)
        for first in range(0, len(near_rows), batch_size):
            i, j = (near[first : first + batch_size] for near in (near_rows, near_columns))
            block[i, j] = np.square(part[i] - columns[j]).sum(1)
        np.sqrt(block, out=block)
    if others is None:
        np.fill_diagonal(found, 0)
    return found
