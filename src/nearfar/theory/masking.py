"""Theorem 2.6: how far apart two histories are after independent masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Int64
from scipy import stats
from scipy.sparse import csr_array

from nearfar.core.errors import DataError, SettingsError
from nearfar.core.seeding import generator

BATCH_ENTRIES = 1 << 22
"""Mask entries that a simulation draws at once."""


@dataclass(frozen=True)
class MaskedDistance:
    """The law of D = ||x~_u - x~_v||_1 under independent Bernoulli masks, in items.

    D = B1 + B2, B1 ~ Bin(d, rho) and B2 ~ Bin(m, 2 rho (1 - rho)) independent: an item of one
    user only counts where it is kept, a shared one where exactly one of the two keeps it.

    Notation: `n_different` = d; `n_shared` = m; `keep_prob` = rho, 1 = kept.
    Source: Theorem 2.6. It speaks of raw 0/1 masks (`Mask`), not of normalised histories.

    Args:
        n_different: items that one of the two users has and the other has not.
        n_shared: items that both have.
        keep_prob: the probability that a positive is kept.

    Raises:
        SettingsError: a count is negative or `keep_prob` no probability.

    Examples:
        >>> from nearfar.theory.masking import MaskedDistance
        >>> law = MaskedDistance(n_different=10, n_shared=5, keep_prob=0.5)
        >>> law.mean
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
        """The law for two binary histories.

        Raises: DataError where they are not binary or not of the same items.
        """
        u, v = _positives(x_u, x_v)
        return cls(int((u ^ v).sum()), int((u & v).sum()), keep_prob)

    @property
    def one_sided_prob(self) -> float:
        """2 rho (1 - rho): exactly one of two users keeps an item that they share."""
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
        """P(D = 0), ..., P(D = d + m)."""
        d, m = self.n_different, self.n_shared
        first = stats.binom.pmf(np.arange(d + 1), d, self.keep_prob)
        second = stats.binom.pmf(np.arange(m + 1), m, self.one_sided_prob)
        return np.convolve(first, second)  # a sum of products of positives: no cancellation

    def contraction(self, a: int = 0) -> float:
        """P(D <= d - a): masked, the two are nearer by `a` items or more."""
        return float(self.law()[: max(0, self.n_different - a + 1)].sum())

    def expansion(self, a: int = 0) -> float:
        """P(D >= d + a): masked, the two are further apart by `a` items or more."""
        return float(self.law()[max(0, self.n_different + a) :].sum())

    def contraction_bound(self, a: int = 0) -> float:
        """P(Bin(d, rho) <= d - a) (1 - 2 rho (1 - rho))^m, at most `contraction(a)`."""
        d, r = self.n_different, self.one_sided_prob
        return float(stats.binom.cdf(d - a, d, self.keep_prob) * (1 - r) ** self.n_shared)

    def expansion_bound(self, a: int = 0) -> float:
        """P(Bin(m, 2 rho (1 - rho)) >= d + a), at most `expansion(a)`."""
        limit = self.n_different + a - 1
        return float(stats.binom.sf(limit, self.n_shared, self.one_sided_prob))


@dataclass(frozen=True, eq=False)
class MaskingCurves:
    """Theorem 2.6 over mask rates, one value a `keep_prob`; what `masking_curves` returns.

    Args:
        keep_probs: the rates rho.
        mean: E D in items.
        variance: Var D in items squared.
        contraction: P(D <= d - a).
        contraction_bound: the theorem's lower bound of it.
        expansion: P(D >= d + a).
        expansion_bound: the theorem's lower bound of it.
    """

    keep_probs: Float64[np.ndarray, " rates"]
    mean: Float64[np.ndarray, " rates"]
    variance: Float64[np.ndarray, " rates"]
    contraction: Float64[np.ndarray, " rates"]
    contraction_bound: Float64[np.ndarray, " rates"]
    expansion: Float64[np.ndarray, " rates"]
    expansion_bound: Float64[np.ndarray, " rates"]


def masking_curves(
    n_different: int, n_shared: int, keep_probs: Float64[np.ndarray, " rates"], a: int = 0
) -> MaskingCurves:
    """How distance, contraction and expansion by `a` items depend on the mask rate.

    Examples:
        >>> from nearfar.theory.masking import masking_curves
        >>> curves = masking_curves(10, 5, np.array([0.2, 0.5, 1.0]))
        >>> curves.keep_probs.tolist()
        [0.2, 0.5, 1.0]
    """
    laws = [MaskedDistance(n_different, n_shared, float(rho)) for rho in keep_probs]
    return MaskingCurves(
        np.asarray(keep_probs, np.float64),
        np.array([law.mean for law in laws]),
        np.array([law.variance for law in laws]),
        np.array([law.contraction(a) for law in laws]),
        np.array([law.contraction_bound(a) for law in laws]),
        np.array([law.expansion(a) for law in laws]),
        np.array([law.expansion_bound(a) for law in laws]),
    )


def simulate_masked_distances(
    x_u: Int[np.ndarray, " items"],
    x_v: Int[np.ndarray, " items"],
    keep_prob: float,
    n_draws: int,
    seed: int = 0,
) -> Int64[np.ndarray, " draws"]:
    """||x~_u - x~_v||_1 in items for `n_draws` pairs of independent masks, one draw after another.

    Raises: DataError where the histories are not binary or not of the same items.
    """
    u, v = _positives(x_u, x_v)
    present = u | v
    u, v = u[present], v[present]
    rng = generator(seed, "masked-distances")
    found = np.zeros(n_draws, np.int64)
    step = max(1, BATCH_ENTRIES // max(1, len(u)))
    for start in range(0, n_draws, step):
        n = min(step, n_draws - start)
        kept = rng.random((2, n, len(u))) < keep_prob
        found[start : start + n] = ((kept[0] & u) ^ (kept[1] & v)).sum(1)
    return found


def pairwise_overlap(
    histories: csr_array, others: csr_array | None = None
) -> tuple[Int64[np.ndarray, "users others"], Int64[np.ndarray, "users others"]]:
    """d = ||x_u - x_v||_1 and m = <x_u, x_v> in items for all pairs of binary histories.

    Without `others`, between `histories` themselves.

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
    """Two binary histories as boolean vectors."""
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
