"""Theorem 2.6: the distance of two histories after independent masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Int64
from scipy import stats
from scipy.sparse import csr_array

from nearfar.core.errors import DataError, SettingsError


@dataclass(frozen=True)
class MaskedDistance:
    """The distribution of D = ||x~_u - x~_v||_1 under independent Bernoulli masks, in items.

    D = B1 + B2, with B1 ~ Bin(d, rho) and B2 ~ Bin(m, 2 rho (1 - rho)) independent. An item of one
    user counts if it is kept; a shared item counts if exactly one of the two users keeps it.

    Notation: `n_different` = d; `n_shared` = m; `keep_prob` = rho, 1 = kept.
    Source: Theorem 2.6, for raw 0/1 masks (`Mask`), not for normalised histories.

    Args:
        n_different: number of items that exactly one of the two users has.
        n_shared: number of items that both have.
        keep_prob: probability that a positive is kept.

    Raises:
        SettingsError: a count is negative, or `keep_prob` is not between 0 and 1.

    Examples:
        >>> from nearfar.theory.masking import MaskedDistance
        >>> distance = MaskedDistance(n_different=10, n_shared=5, keep_prob=0.5)
        >>> distance.mean
        7.5
    """

    n_different: int
    n_shared: int
    keep_prob: float

    def __post_init__(self) -> None:
        if min(self.n_different, self.n_shared) < 0:
            raise SettingsError(
                f"n_different is {self.n_different} and n_shared {self.n_shared}; "
                "counts of items must not be negative"
            )
        if not 0 <= self.keep_prob <= 1:
            raise SettingsError(f"keep_prob is {self.keep_prob}; it must be between 0 and 1")

    @classmethod
    def between(
        cls, x_u: Int[np.ndarray, " items"], x_v: Int[np.ndarray, " items"], keep_prob: float
    ) -> MaskedDistance:
        """Return the distribution for two binary histories.

        Raises:
            DataError: a history is not binary, or they are not over the same items.
        """
        u, v = _positives(x_u, x_v)
        return cls(int((u ^ v).sum()), int((u & v).sum()), keep_prob)

    @property
    def one_sided_prob(self) -> float:
        """2 rho (1 - rho), the probability that exactly one of two users keeps a shared item."""
        return 2 * self.keep_prob * (1 - self.keep_prob)

    @property
    def mean(self) -> float:
        """E D = d rho + 2 m rho (1 - rho)."""
        return self.n_different * self.keep_prob + self.n_shared * self.one_sided_prob

    @property
    def variance(self) -> float:
        """Var D, the sum of the two binomials' variances."""
        rho, r = self.keep_prob, self.one_sided_prob
        return self.n_different * rho * (1 - rho) + self.n_shared * r * (1 - r)

    def law(self) -> Float64[np.ndarray, " distances"]:
        """Return P(D = 0), ..., P(D = d + m)."""
        d, m = self.n_different, self.n_shared
        first = stats.binom.pmf(np.arange(d + 1), d, self.keep_prob)
        second = stats.binom.pmf(np.arange(m + 1), m, self.one_sided_prob)
        return np.convolve(first, second)  # all summands are positive, so nothing cancels

    def contraction(self, a: int = 0) -> float:
        """Return P(D <= d - a): masks bring the two nearer by `a` items or more."""
        return float(self.law()[: max(0, self.n_different - a + 1)].sum())

    def expansion(self, a: int = 0) -> float:
        """Return P(D >= d + a): masks move the two apart by `a` items or more."""
        return float(self.law()[max(0, self.n_different + a) :].sum())

    def contraction_bound(self, a: int = 0) -> float:
        """Return P(Bin(d, rho) <= d - a) (1 - 2 rho (1 - rho))^m, at most `contraction(a)`."""
        d, r = self.n_different, self.one_sided_prob
        return float(stats.binom.cdf(d - a, d, self.keep_prob) * (1 - r) ** self.n_shared)

    def expansion_bound(self, a: int = 0) -> float:
        """Return P(Bin(m, 2 rho (1 - rho)) >= d + a), at most `expansion(a)`."""
        limit = self.n_different + a - 1
        return float(stats.binom.sf(limit, self.n_shared, self.one_sided_prob))


def pairwise_overlap(
    histories: csr_array, others: csr_array | None = None
) -> tuple[Int64[np.ndarray, "users others"], Int64[np.ndarray, "users others"]]:
    """Return d = ||x_u - x_v||_1 and m = <x_u, x_v> in items for all pairs of binary histories.

    Without `others`, the pairs are within `histories`.

    Examples:
        >>> from nearfar.theory.masking import pairwise_overlap
        >>> different, shared = pairwise_overlap(split.test.fold_in.x)
        >>> different.shape
        (10, 10)
    """
    others = histories if others is None else others
    shared = np.rint((histories @ others.T).toarray()).astype(np.int64)
    counts = np.diff(histories.indptr)[:, None] + np.diff(others.indptr)[None, :]
    return counts - 2 * shared, shared


def _positives(x_u: np.ndarray, x_v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two binary histories as boolean vectors."""
    if x_u.ndim != 1 or x_u.shape != x_v.shape:
        raise DataError(
            f"histories have shapes {x_u.shape} and {x_v.shape}; give two vectors over the "
            "same items"
        )
    u, v = x_u.astype(bool), x_v.astype(bool)
    if not (np.array_equal(u, x_u) and np.array_equal(v, x_v)):
        raise DataError(
            "a history holds values other than 0 and 1; set an item of the history to 1"
        )
    return u, v
