"""Theorem 2.6: the law of the masked distance, and its bounds."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from nearfar.core.errors import DataError, SettingsError
from nearfar.theory.masking import MaskedDistance, pairwise_overlap

RATES = st.one_of(st.sampled_from([0.0, 1.0, 0.5, 1e-9, 1 - 1e-9]), st.floats(0, 1))
LAWS = st.builds(MaskedDistance, st.integers(0, 60), st.integers(0, 60), RATES)


def enumerated(x_u: np.ndarray, x_v: np.ndarray, rho: float) -> np.ndarray:
    """The law by going through all pairs of masks."""
    n = len(x_u)
    law = np.zeros(n + 1)
    masks = [np.array(mask) for mask in product([0, 1], repeat=n)]
    for first in masks:
        for second in masks:
            kept = first.sum() + second.sum()
            probability = rho**kept * (1 - rho) ** (2 * n - kept)
            law[np.abs(x_u * first - x_v * second).sum()] += probability
    return law


@given(LAWS)
def test_law_is_a_law_with_its_moments(law: MaskedDistance) -> None:
    p = law.law()
    assert len(p) == law.n_different + law.n_shared + 1
    assert (p >= 0).all()
    assert p.sum() == pytest.approx(1)
    k = np.arange(len(p))
    assert (p * k).sum() == pytest.approx(law.mean)
    assert (p * (k - law.mean) ** 2).sum() == pytest.approx(law.variance)


@pytest.mark.parametrize("rho", [0.0, 0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize(
    ("u", "v"),
    [
        ([1, 1, 1, 0, 0], [1, 0, 1, 1, 0]),
        ([1, 1, 0, 0, 0], [0, 0, 1, 1, 1]),
        ([1, 1, 1, 1, 1], [1, 1, 1, 1, 1]),
        ([0, 0, 0, 0, 0], [0, 1, 0, 0, 0]),
        ([0, 0, 0, 0, 0], [0, 0, 0, 0, 0]),
    ],
)
def test_theorem_2_6_the_law_is_that_of_all_masks(u: list[int], v: list[int], rho: float) -> None:
    x_u, x_v = np.array(u), np.array(v)
    exact = enumerated(x_u, x_v, rho)
    law = MaskedDistance.between(x_u, x_v, rho)
    np.testing.assert_allclose(law.law(), exact[: len(law.law())], atol=1e-14)
    assert exact[len(law.law()) :].sum() == 0
    for a in range(-6, 7):
        d = law.n_different
        k = np.arange(len(exact))
        assert law.contraction(a) == pytest.approx(exact[k <= d - a].sum(), abs=1e-14)
        assert law.expansion(a) == pytest.approx(exact[k >= d + a].sum(), abs=1e-14)


@given(LAWS, st.integers(-70, 70))
def test_theorem_2_6_bounds_are_never_violated(law: MaskedDistance, a: int) -> None:
    assert law.contraction_bound(a) <= law.contraction(a) + 1e-12
    assert law.expansion_bound(a) <= law.expansion(a) + 1e-12


@given(st.integers(0, 40), RATES, st.integers(-5, 45))
def test_bounds_are_exact_where_one_part_is_missing(n: int, rho: float, a: int) -> None:
    """Nothing shared: contraction is all of D. Nothing different: expansion is."""
    apart = MaskedDistance(n, 0, rho)
    assert apart.contraction_bound(a) == pytest.approx(apart.contraction(a), abs=1e-12)
    twins = MaskedDistance(0, n, rho)
    assert twins.expansion_bound(a) == pytest.approx(twins.expansion(a), abs=1e-12)


def test_simulation_agrees_with_the_law() -> None:
    rng = np.random.default_rng(0)
    x_u, x_v = rng.random((2, 40)) < 0.4
    law = MaskedDistance.between(x_u.astype(np.int64), x_v.astype(np.int64), 0.7)
    n = 40_000
    first, second = rng.random((2, n, 40)) < 0.7
    drawn = ((first & x_u) ^ (second & x_v)).sum(1)
    p = law.law()
    share = np.bincount(drawn, minlength=len(p)) / n
    assert (np.abs(share - p) < 5 * np.sqrt(p * (1 - p) / n) + 1e-4).all()
    assert abs(drawn.mean() - law.mean) < 5 * np.sqrt(law.variance / n)
    assert drawn.var() == pytest.approx(law.variance, rel=0.05)


def test_contraction_from_all_hidden_to_nothing_hidden() -> None:
    hidden, half, shown = (MaskedDistance(6, 9, rho) for rho in (0.0, 0.5, 1.0))
    assert hidden.contraction(2) == 1  # everybody is alike
    assert shown.contraction(2) == 0  # nobody moves
    assert half.expansion(2) > shown.expansion(2)


def test_overlap_of_all_pairs() -> None:
    dense = (np.random.default_rng(2).random((7, 12)) < 0.4).astype(np.float32)
    dense[3] = 0
    different, shared = pairwise_overlap(csr_array(dense), csr_array(dense[:4]))
    assert different.shape == shared.shape == (7, 4)
    for u in range(7):
        for v in range(4):
            assert different[u, v] == np.abs(dense[u] - dense[v]).sum()
            assert shared[u, v] == (dense[u] * dense[v]).sum()
    np.testing.assert_array_equal(pairwise_overlap(csr_array(dense))[0][:, :4], different)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(SettingsError, match="keep_prob"):
        MaskedDistance(1, 1, 1.5)
    with pytest.raises(SettingsError, match="n_shared"):
        MaskedDistance(1, -1, 0.5)
    with pytest.raises(DataError, match="0 and 1"):
        MaskedDistance.between(np.array([2, 0]), np.array([1, 0]), 0.5)
    with pytest.raises(DataError, match="same items"):
        MaskedDistance.between(np.array([1, 0, 1]), np.array([1, 0]), 0.5)
