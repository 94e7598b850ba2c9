"""Definitions of weighted matrix factorisation, dense and one row at a time, in float64."""

import numpy as np

from nearfar.models.least_squares import Confidence


def penalties(x: np.ndarray, confidence: Confidence) -> np.ndarray:
    weights = np.where(x > 0, x, confidence.unobserved_weight).sum(1)
    return confidence.l2 * weights**confidence.l2_exponent


def half_step(x: np.ndarray, factors: np.ndarray, confidence: Confidence) -> np.ndarray:
    """argmin_u sum_i w_i (t_i - u.v_i)^2 + p |u|^2 for every row of x, by its normal equations.

    t_i is 1 where x has an entry, and w_i is that entry.
    """
    result = []
    for row, penalty in zip(x, penalties(x, confidence), strict=True):
        weights = np.diag(np.where(row > 0, row, confidence.unobserved_weight))
        normal = factors.T @ weights @ factors + penalty * np.eye(factors.shape[1])
        result.append(np.linalg.solve(normal, factors.T @ weights @ (row > 0)))
    return np.array(result)


def loss(x: np.ndarray, users: np.ndarray, items: np.ndarray, confidence: Confidence) -> float:
    """The objective of WMF."""
    weights = np.where(x > 0, 1.0, confidence.unobserved_weight)
    of_users = penalties(x, confidence) @ (users**2).sum(1)
    of_items = penalties(x.T, confidence) @ (items**2).sum(1)
    return float((weights * (x - users @ items.T) ** 2).sum() + of_users + of_items)


def random_matrix(n_users: int, n_items: int, density: float, seed: int) -> np.ndarray:
    """Zeros and ones, with an empty row and an empty column where there is room."""
    rng = np.random.default_rng(seed)
    x = (rng.random((n_users, n_items)) < density).astype(np.float64)
    x[n_users // 2] = 0
    x[:, n_items // 2] = 0
    return x


def tastes(n_users: int = 200, n_items: int = 40) -> np.ndarray:
    """Users of three tastes, so that three singular values stand out; an item nobody met."""
    rng = np.random.default_rng(0)
    groups = rng.random((3, n_items)) < 0.4
    x = rng.random((n_users, n_items)) < 0.05 + 0.5 * groups[rng.integers(3, size=n_users)]
    x[:, n_items // 2] = False
    return x.astype(np.float64)
