"""Shares of help by nearness, by their definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import DataError, SettingsError
from nearfar.theory.collaboration import collaboration, jaccard_distance
from nearfar.theory.masking import pairwise_overlap
from tests.theory.cases import two_tastes


def by_hand(products: np.ndarray, distance: np.ndarray, share: float) -> np.ndarray:
    """User by user, others sorted; the last near one in part. No equal distances."""
    n = len(products)
    found = np.full(n, np.nan)
    for u in range(n):
        others = sorted((v for v in range(n) if v != u), key=lambda v: distance[u, v])
        help_ = [max(0.0, products[u, v]) for v in others]
        whole = int(share * (n - 1))
        near = sum(help_[:whole]) + (share * (n - 1) - whole) * help_[whole]
        if sum(help_):
            found[u] = near / sum(help_)
    return found


@given(st.integers(0, 10_000), st.integers(3, 15), st.floats(0.05, 0.9))
def test_shares_are_those_of_the_definition(seed: int, n: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    products, distance = rng.normal(size=(n, n)), rng.random((n, n))
    found = collaboration(products, distance, share)
    expected = by_hand(products, distance, share)
    np.testing.assert_allclose(found.local, expected, atol=1e-12)
    if np.isfinite(expected).any():
        assert found.by_distance.sum() == pytest.approx(1)
    others = ~np.eye(n, dtype=bool)
    harm = [(-p[o][p[o] < 0]).sum() / np.abs(p[o]).sum()
            for p, o in zip(products, others, strict=True)]  # fmt: skip
    np.testing.assert_allclose(found.harm, harm)


def test_the_order_of_users_says_nothing_where_distances_are_equal() -> None:
    rng = np.random.default_rng(0)
    products = rng.random((30, 30))
    found = collaboration(products, np.ones((30, 30)), 0.2)
    np.testing.assert_allclose(found.local, 0.2)
    np.testing.assert_allclose(found.by_distance, 0.1)


def test_nobody_helps() -> None:
    found = collaboration(-np.ones((5, 5)), np.ones((5, 5)))
    assert np.isnan(found.local).all()
    assert np.isnan(found.by_distance).all()
    np.testing.assert_array_equal(found.harm, 1)


def test_jaccard_distance() -> None:
    x = two_tastes(8)
    found = jaccard_distance(*pairwise_overlap(x))
    dense = x.toarray().astype(bool)
    for u, a in enumerate(dense):
        for v, b in enumerate(dense):
            assert found[u, v] == pytest.approx(1 - (a & b).sum() / (a | b).sum())
    assert jaccard_distance(np.zeros((1, 1), int), np.zeros((1, 1), int)) == 0


def test_what_is_refused() -> None:
    with pytest.raises(DataError, match="three users"):
        collaboration(np.ones((2, 2)), np.ones((2, 2)))
    with pytest.raises(SettingsError, match="near_share"):
        collaboration(np.ones((4, 4)), np.ones((4, 4)), 1.0)
