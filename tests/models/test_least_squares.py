"""Ridge regressions of many rows against one row at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from nearfar.core.errors import DivergedError, SettingsError
from nearfar.kernels.rows import Rows
from nearfar.models import least_squares
from nearfar.models.least_squares import Confidence, blocks, weighted_least_squares
from tests.algorithms import dense


def solved(x: np.ndarray, factors: np.ndarray, confidence: Confidence) -> np.ndarray:
    rows = Rows.from_csr(csr_array(x))
    return weighted_least_squares(rows, torch.from_numpy(factors), confidence).numpy()


@given(
    st.integers(0, 10_000),
    st.integers(1, 9),
    st.floats(0.01, 1.0),
    st.floats(0.01, 10.0),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_every_row_is_its_own_regression(
    seed: int, k: int, unobserved_weight: float, l2: float, exponent: float
) -> None:
    """Of rows both shorter and longer than k, which are solved in different unknowns."""
    x = dense.random_matrix(14, 12, 0.4, seed)
    factors = np.random.default_rng(seed).normal(size=(12, k))
    confidence = Confidence(unobserved_weight, l2, exponent)
    expected = dense.half_step(x, factors, confidence)
    np.testing.assert_allclose(solved(x, factors, confidence), expected, atol=1e-9)


@pytest.mark.parametrize("values", [1, 40, 1 << 20])
def test_blocks_do_not_matter(monkeypatch, values: int) -> None:
    x = dense.random_matrix(30, 20, 0.3, 0)
    factors = np.random.default_rng(0).normal(size=(20, 5))
    monkeypatch.setattr(least_squares, "BLOCK_VALUES", values)
    confidence = Confidence(0.1, 0.5, 1.0)
    expected = dense.half_step(x, factors, confidence)
    np.testing.assert_allclose(solved(x, factors, confidence), expected, atol=1e-9)


def test_blocks_hold_every_row_once_and_gather_no_more_than_they_may(monkeypatch) -> None:
    monkeypatch.setattr(least_squares, "BLOCK_VALUES", 64)
    x = dense.random_matrix(30, 20, 0.3, 1)
    seen = {}
    for block in blocks(Rows.from_csr(csr_array(x)), 4):
        assert block.columns.numel() * 4 <= 64 or len(block.rows) == 1
        for row, columns in zip(block.rows.tolist(), block.columns.tolist(), strict=True):
            assert row not in seen
            seen[row] = [c for c in columns if c < 20]
    assert seen == {u: np.flatnonzero(x[u]).tolist() for u in range(30) if x[u].any()}


def test_a_singular_system_is_an_error() -> None:
    """Two rows alike, next to no penalty: 1 + 5e8 is 5e8 in float32."""
    with pytest.raises(DivergedError, match="raise l2"):
        solved(np.ones((1, 2)), np.ones((2, 4), np.float32), Confidence(1e-9, 1e-30, 0.0))


def test_factors_beyond_the_real_numbers_are_an_error() -> None:
    with pytest.raises(DivergedError, match="finite"):
        solved(np.ones((1, 2)), np.full((2, 4), 1e25, np.float32), Confidence(0.1, 1.0, 0.0))


@pytest.mark.parametrize("bad", [(0.0, 1.0, 0.0), (1.1, 1.0, 0.0), (0.5, 0.0, 0.0), (0.5, 1.0, -1)])
def test_impossible_weights_are_refused(bad: tuple) -> None:
    with pytest.raises(SettingsError):
        Confidence(*map(float, bad))
