"""Ridge regression from items' features to their fitted vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from nearfar.core.seeding import generator

STRENGTHS = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
"""In the order in which they are tried: strong ones are solved in few steps."""

N_FOLDS = 5
MAX_DENSE = 1024
"""Up to so many features the normal equations are factored; above, they are solved by CG."""

SKETCH = 16
"""Columns of targets, random mixtures of all, that the strength is chosen by."""

COLUMNS = 256
TOLERANCE, ROUGH = 1e-5, 1e-2
"""Of conjugate gradients, relative to the right side: for predictions, and to choose by."""

KNOWN_HALF = 1.0
"""An item with so many interactions has half the weight of one with very many."""


@dataclass(frozen=True, eq=False)
class FeatureRidge:
    """argmin_B sum_i w_i |y_i - y - (f_i - f) B|^2 + strength |B|^2, y and f the weighted means.

    An item with n interactions has w in proportion to n / (n + 1), with mean 1: the more users
    interacted with it, the better its fitted vector is known, up to what features cannot tell.
    Items without interactions or without features have no weight.

    Args:
        known: features of the model's items.
        new: features of new items.
        counts: interactions of the model's items.
        seed: of the folds and the random mixtures.

    Source: Hoerl and Kennard, Ridge Regression, 1970; the systems of many features are solved by
    conjugate gradients (Hestenes and Stiefel, 1952).
    """

    known: csr_array
    new: csr_array
    counts: Float[np.ndarray, " known"]
    seed: int = 0

    @cached_property
    def weights(self) -> Float[np.ndarray, " known"]:
        w = self.counts / (self.counts + KNOWN_HALF)
        # An item without any of the features tells nothing about them, but would move the mean.
        w = np.where(np.diff(self.known.indptr) > 0, w, 0.0)
        return w / max(w.mean(), 1e-12)

    @cached_property
    def folds(self) -> np.ndarray:
        """The fold of each known item."""
        order = generator(self.seed, "feature folds").permutation(len(self.counts))
        folds = np.empty(len(order), np.int64)
        folds[order] = np.arange(len(order)) % N_FOLDS
        return folds

    def strength(self, targets: Float[np.ndarray, "known d"]) -> tuple[float, float]:
        """Choose the strength by leaving every fifth item out.

        Returns:
            The strength with the least weighted squared error on items left out, and the share of
            the weighted variance that is explained there (below 0 where the mean does better).
        """
        sketch = np.asarray(targets, np.float64)
        if sketch.shape[1] > SKETCH:
            rng = generator(self.seed, "feature sketch")
            sketch = sketch @ rng.normal(size=(sketch.shape[1], SKETCH))
        errors: list[float] = []
        for strength in STRENGTHS:
            difference = sketch - self.left_out(sketch, strength)
            errors.append(float((self.weights[:, None] * difference**2).sum()))
            if errors[-1] > min(errors):
                break
        best = int(np.argmin(errors))
        spread = sketch - self._mean(sketch, self.weights)
        total = (self.weights[:, None] * spread**2).sum()
        return STRENGTHS[best], float(1 - errors[best] / max(total, 1e-300))

    def left_out(
        self, targets: Float[np.ndarray, "known d"], strength: float
    ) -> Float[np.ndarray, "known d"]:
        """Return what is predicted of each known item from the other four folds."""
        result = np.empty(targets.shape)
        for fold in range(N_FOLDS):
            out = self.folds == fold
            weights = np.where(out, 0.0, self.weights)
            result[out] = self._predict(targets, weights, self.known[out], strength, ROUGH)
        return result

    def predict(
        self, targets: Float[np.ndarray, "known d"], strength: float
    ) -> Float[np.ndarray, "new d"]:
        """Return the vectors of the new items, float32."""
        parts = [
            self._predict(
                np.asarray(targets[:, start : start + COLUMNS], np.float64),
                self.weights, self.new, strength, TOLERANCE,
            )
            for start in range(0, targets.shape[1], COLUMNS)
        ]  # fmt: skip
        return np.concatenate(parts, axis=1).astype(np.float32)

    def smoother(self, strength: float) -> Float[np.ndarray, "new known"]:
        """Return S, such that S Y is what is predicted of Y for the new items."""
        n_new = self.new.shape[0]
        parts = [
            self._smoother(self.weights, self.new[start : start + COLUMNS], strength)
            for start in range(0, n_new, COLUMNS)
        ]
        return np.concatenate(parts)

    def smoother_left_out(
        self, items: Int[np.ndarray, " out"], strength: float
    ) -> Float[np.ndarray, "out known"]:
        """Return S for some known items, from all others; their own columns are 0."""
        weights = self.weights.copy()
        weights[items] = 0
        return self._smoother(weights, self.known[items], strength)

    def _smoother(self, weights: np.ndarray, rows: csr_array, strength: float) -> np.ndarray:
        centre = self._mean(self.known, weights)
        right = np.ascontiguousarray((rows.toarray() - centre).T, np.float64)
        solved = self._solve(weights, centre, right, strength, TOLERANCE)
        effects = (self.known @ solved - centre @ solved).T
        return (effects + 1 / max(weights.sum(), 1e-12)) * weights

    @staticmethod
    def _mean(rows: np.ndarray | csr_array, weights: np.ndarray) -> np.ndarray:
        return rows.T @ weights / max(weights.sum(), 1e-12)

    def _predict(
        self,
        targets: np.ndarray,
        weights: np.ndarray,
        rows: csr_array,
        strength: float,
        tolerance: float,
    ) -> np.ndarray:
        mean, centre = self._mean(targets, weights), self._mean(self.known, weights)
        right = self.known.T @ (weights[:, None] * (targets - mean))
        solved = self._solve(weights, centre, right, strength, tolerance)
        return rows @ solved + (mean - centre @ solved)

    def _solve(
        self,
        weights: np.ndarray,
        centre: np.ndarray,
        right: np.ndarray,
        strength: float,
        tolerance: float,
    ) -> np.ndarray:
        """(F'WF + strength I)^-1 right, with the centred features F."""
        features, total = self.known, weights.sum()
        if features.shape[1] <= MAX_DENSE:
            gram = (features.T @ csr_array(features.multiply(weights[:, None]))).toarray()
            gram -= total * np.outer(centre, centre)
            return cho_solve(cho_factor(gram + strength * np.eye(len(gram))), right)
        transposed = csr_array(features.T)

        def product(x: np.ndarray) -> np.ndarray:
            spread = transposed @ (weights[:, None] * (features @ x))
            return spread - total * np.outer(centre, centre @ x) + strength * x

        return conjugate_gradients(product, right, tolerance)


def conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray],
    right: Float[np.ndarray, "n d"],
    tolerance: float,
    max_steps: int = 200,
) -> Float[np.ndarray, "n d"]:
    """Solve A X = right for a positive definite A, all columns at once.

    Args:
        product: X to A X.
        right: a column per system.
        tolerance: of a column's residual, relative to its right side.
        max_steps: at most so many.
    """
    solution = np.zeros_like(right)
    residual, direction = right.copy(), right.copy()
    size = (residual**2).sum(0)
    enough = tolerance**2 * size
    for _ in range(max_steps):
        if (size <= enough).all():
            break
        along = product(direction)
        curve = (direction * along).sum(0)
        step = np.divide(size, curve, out=np.zeros_like(size), where=curve > 0)
        solution += step * direction
        residual -= step * along
        smaller = (residual**2).sum(0)
        turn = np.divide(smaller, size, out=np.zeros_like(size), where=size > 0)
        direction = residual + turn * direction
        size = smaller
    return solution
