"""One column of features, scaled to be comparable with columns of other kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int
from scipy.sparse import csr_array, diags_array

Kind = Literal["tags", "number", "vector"]
MIN_ITEMS = 2
"""A tag of only one known item is no use for other items."""


@dataclass(frozen=True, eq=False)
class FeatureColumn:
    """The features of one column.

    Args:
        column: the column's name.
        kind: "tags" with weights, one "number" per item, or one "vector" per item.
        names: the names of the features.
        values: items x features; a stored zero is a value, an entry that is not stored is missing.
    """

    column: str
    kind: Kind
    names: list[str]
    values: csr_array

    def __str__(self) -> str:
        if self.kind == "vector":
            return f"{self.column} (vectors of {len(self.names):,} numbers)"
        if self.kind == "tags":
            return f"{self.column} ({len(self.names):,} tags)"
        numbers = self.values.data
        summary = f"numbers from {numbers.min():g} to {numbers.max():g}" if len(numbers) else "none"
        n_missing = self.values.shape[0] - self.values.nnz
        missing = f"; {n_missing:,} of {self.values.shape[0]:,} items have none" * (n_missing > 0)
        return f"{self.column} ({summary}{missing})"

    @property
    def labels(self) -> list[str]:
        """The names of the features with their column."""
        return [f"{self.column}={name}" for name in self.names]

    def scaled(
        self, known: Int[np.ndarray, " known"], n_numbers: int
    ) -> tuple[csr_array, list[str]]:
        """Return the features on the scale of `ItemFeatures.encoded`, and their labels.

        Args:
            known: the rows of the items that the model knows.
            n_numbers: the number of columns of kind "number".
        """
        n_having = np.bincount(self.values[known].indices, minlength=self.values.shape[1])
        kept = np.flatnonzero(n_having >= MIN_ITEMS)
        x = csr_array(self.values[:, kept])
        if self.kind == "tags":
            x = _weighted_by_rarity(x, n_having[kept], len(known))
        elif len(kept):
            x = _centred(x, known)
            x = (
                _standardised(x, known, n_numbers)
                if self.kind == "number"
                else _of_mean_length_one(x, known)
            )
        labels = self.labels
        return csr_array(x), [labels[i] for i in kept]


def _weighted_by_rarity(x: csr_array, n_having: np.ndarray, n_known: int) -> csr_array:
    weights = np.log((1 + n_known) / (1 + n_having))
    x = csr_array(x @ diags_array(weights)) if len(n_having) else x
    return csr_array(diags_array(1 / np.maximum(_lengths(x), 1e-12)) @ x)


def _standardised(x: csr_array, known: np.ndarray, n_numbers: int) -> csr_array:
    deviation = np.sqrt(_column_means(x, known, squared=True))
    varied = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    return csr_array(x @ diags_array(varied / np.sqrt(n_numbers)))


def _of_mean_length_one(x: csr_array, known: np.ndarray) -> csr_array:
    length = np.sqrt((_lengths(x)[known] ** 2).mean())
    return csr_array(x / max(length, 1e-12))


def _lengths(x: csr_array) -> np.ndarray:
    squares = np.asarray(x.multiply(x).sum(1), np.float64).reshape(-1)
    return np.sqrt(squares)


def _column_means(x: csr_array, known: np.ndarray, *, squared: bool = False) -> np.ndarray:
    """Return the mean of each column over the stored values of known rows."""
    part = x[known]
    data = part.data**2 if squared else part.data
    totals = np.bincount(part.indices, data, minlength=x.shape[1])
    return totals / np.maximum(1, np.bincount(part.indices, minlength=x.shape[1]))


def _centred(x: csr_array, known: np.ndarray) -> csr_array:
    return csr_array((x.data - _column_means(x, known)[x.indices], x.indices, x.indptr), x.shape)
