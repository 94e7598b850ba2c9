"""The inverse in place against float64, for every way that blocks can fall."""

import numpy as np
import pytest

from nearfar.algorithms import regularised_gram
from nearfar.algorithms.regularised_gram import invert_in_place
from nearfar.core.errors import DivergedError


def positive_definite(n: int, ridge: float = 1.0) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(2 * n, n))
    return (x.T @ x / n + ridge * np.eye(n)).astype(np.float32)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("pivot", "panel"), [(512, 1024), (7, 16), (16, 7), (1, 1), (61, 61)])
def test_is_the_inverse_whole_and_symmetric(monkeypatch, order, pivot: int, panel: int) -> None:
    monkeypatch.setattr(regularised_gram, "PIVOT", pivot)
    monkeypatch.setattr(regularised_gram, "PANEL", panel)
    matrix = positive_definite(61)
    expected = np.linalg.inv(matrix.astype(np.float64))
    found = matrix.copy(order=order)
    invert_in_place(found)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    np.testing.assert_array_equal(found, found.T)


def test_only_the_triangle_below_counts_of_what_is_in_c_order(monkeypatch) -> None:
    monkeypatch.setattr(regularised_gram, "PIVOT", 8)
    monkeypatch.setattr(regularised_gram, "PANEL", 8)
    matrix = positive_definite(30)
    lower = np.tril(matrix)
    invert_in_place(matrix)
    invert_in_place(lower)
    np.testing.assert_array_equal(lower, matrix)


def test_is_as_exact_as_float32_can_be_on_an_ill_conditioned_gram_matrix() -> None:
    rng = np.random.default_rng(1)
    x = (rng.random((3000, 700)) < 0.5 / np.arange(1, 701) ** 0.7).astype(np.float32)
    matrix = x.T @ x + 10 * np.eye(700, dtype=np.float32)
    expected = np.linalg.inv(matrix.astype(np.float64))
    invert_in_place(matrix)
    assert abs(matrix - expected).max() < 1e-5 * abs(expected).max()


@pytest.mark.parametrize("at", [0, 20, 60])
def test_what_is_not_positive_definite_is_refused(monkeypatch, at: int) -> None:
    monkeypatch.setattr(regularised_gram, "PIVOT", 16)
    matrix = positive_definite(61)
    matrix[at, at] = -1
    with pytest.raises(DivergedError, match="raise l2"):
        invert_in_place(matrix)


def test_an_empty_matrix_is_its_own_inverse() -> None:
    invert_in_place(np.zeros((0, 0), np.float32))
