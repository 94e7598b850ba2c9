"""Ridge regression of items' fitted vectors on their features."""

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
"""Candidate strengths, in the order in which they are tried: strong ones need fewest CG steps."""

N_FOLDS = 5
MAX_DENSE = 1024
"""Most features for which the normal equations are factored; with more, CG solves them."""

SKETCH = 16
"""Random mixtures of the target columns, with which the strength is chosen."""

COLUMNS = 256
"""Right sides solved at once."""

TOLERANCE, ROUGH = 1e-5, 1e-2
"""Tolerances of conjugate gradients, relative to the right side: for predictions and for choosing
the strength."""

KNOWN_HALF = 1.0
"""Interactions at which an item has half the weight of one with very many."""


@dataclass(frozen=True, eq=False)
class FeatureRidge:
    """Ridge regression that predicts vectors of new items from the features of all items.

    argmin_B sum_i w_i |y_i - y - (f_i - f) B|^2 + strength |B|^2, y and f the weighted means.

    An item with n interactions has a weight w in proportion to n / (n + 1), with mean 1: the more
    users interacted with it, the more precise its fitted vector, up to what features cannot
    explain. Items without interactions or without features have weight 0.

    Args:
        known: features of the model's items.
        new: features of new items.
        counts: interactions of the model's items.
        seed: random seed of the folds and mixtures.

    Source: Hoerl and Kennard, Ridge Regression, 1970; the systems of many features are solved by
    conjugate gradients (Hestenes and Stiefel, 1952).
    """

    known: csr_array
    new: csr_array
    counts: Float[np.ndarray, " known"]
    seed: int = 0

    @cached_property
    def weights(self) -> Float[np.ndarray, " known"]:
        """The weight of each known item."""
        w = self.counts / (self.counts + KNOWN_HALF)
        # An item without features adds no information about them, but would change the mean.
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
        """Choose the strength by cross-validation over the folds.

        Returns:
            The strength with the least weighted squared error on items left out, and the share of
            their weighted variance that it explains (below 0 if the mean predicts better).
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
        centred = sketch - self._mean(sketch, self.weights)
        total = (self.weights[:, None] * centred**2).sum()
        return STRENGTHS[best], float(1 - errors[best] / max(total, 1e-300))

    def left_out(
        self, targets: Float[np.ndarray, "known d"], strength: float
    ) -> Float[np.ndarray, "known d"]:
        """Return the prediction for each known item from the other folds."""
        predictions = np.empty(targets.shape)
        for fold in range(N_FOLDS):
            out = self.folds == fold
            weights = np.where(out, 0.0, self.weights)
            predictions[out] = self._predict(targets, weights, self.known[out], strength, ROUGH)
        return predictions

    def predict(
        self, targets: Float[np.ndarray, "known d"], strength: float
    ) -> Float[np.ndarray, "new d"]:
        """Return the predicted vectors of the new items, float32."""
        parts = [
            self._predict(
                np.asarray(targets[:, start : start + COLUMNS], np.float64),
                self.weights, self.new, strength, TOLERANCE,
            )
            for start in range(0, targets.shape[1], COLUMNS)
        ]  # fmt: skip
        return np.concatenate(parts, axis=1).astype(np.float32)

    def smoother(self, strength: float) -> Float[np.ndarray, "new known"]:
        """Return S such that S Y is the prediction for the new items from targets Y."""
        n_new = self.new.shape[0]
        parts = [
            self._smoother(self.weights, self.new[start : start + COLUMNS], strength)
            for start in range(0, n_new, COLUMNS)
        ]
        return np.concatenate(parts)

    def smoother_left_out(
        self, items: Int[np.ndarray, " out"], strength: float
    ) -> Float[np.ndarray, "out known"]:
        """Return S that predicts some known items from all others; the columns of `items` are 0."""
        weights = self.weights.copy()
        weights[items] = 0
        return self._smoother(weights, self.known[items], strength)

    def _smoother(self, weights: np.ndarray, rows: csr_array, strength: float) -> np.ndarray:
        centre = self._mean(self.known, weights)
        right = np.ascontiguousarray((rows.toarray() - centre).T, np.float64)
        solution = self._solve(weights, centre, right, strength, TOLERANCE)
        effects = (self.known @ solution - centre @ solution).T
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
        coefficients = self._solve(weights, centre, right, strength, tolerance)
        return rows @ coefficients + (mean - centre @ coefficients)

    def _solve(
        self,
        weights: np.ndarray,
        centre: np.ndarray,
        right: np.ndarray,
        strength: float,
        tolerance: float,
    ) -> np.ndarray:
        """Return (F'WF + strength I)^-1 right, with the centred features F."""
        features, total = self.known, weights.sum()
        if features.shape[1] <= MAX_DENSE:
            gram = (features.T @ csr_array(features.multiply(weights[:, None]))).toarray()
            gram -= total * np.outer(centre, centre)
            return cho_solve(cho_factor(gram + strength * np.eye(len(gram))), right)
        transposed = csr_array(features.T)

        def product(x: np.ndarray) -> np.ndarray:
            uncentred = transposed @ (weights[:, None] * (features @ x))
            return uncentred - total * np.outer(centre, centre @ x) + strength * x

        return conjugate_gradients(product, right, tolerance)


def conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray],
    right: Float[np.ndarray, "n d"],
    tolerance: float,
    max_steps: int = 200,
) -> Float[np.ndarray, "n d"]:
    """Solve A X = right for a positive definite A, all columns at once.

    Args:
        product: computes A X from X.
        right: the right sides, one column per system.
        tolerance: largest norm of a column's residual, relative to its right side.
        max_steps: steps after which it stops in any case.
    """
    solution = np.zeros_like(right)
    residual, direction = right.copy(), right.copy()
    squared_norm = (residual**2).sum(0)
    limit = tolerance**2 * squared_norm
    for _ in range(max_steps):
        if (squared_norm <= limit).all():
            break
        image = product(direction)
        curvature = (direction * image).sum(0)
        step = np.divide(
            squared_norm, curvature, out=np.zeros_like(squared_norm), where=curvature > 0
        )
        solution += step * direction
        residual -= step * image
        next_squared_norm = (residual**2).sum(0)
        beta = np.divide(
            next_squared_norm, squared_norm, out=np.zeros_like(squared_norm), where=squared_norm > 0
        )
        direction = residual + beta * direction
        squared_norm = next_squared_norm
    return solution
