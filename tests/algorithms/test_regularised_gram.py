"""The inverse of the regularised Gram matrix by both ways, and in place, against float64."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, random_array

from nearfar.algorithms import regularised_gram
from nearfar.algorithms.regularised_gram import (
    goes_by_users,
    gram,
    inverse_of_regularised_gram,
    invert_in_place,
)
from nearfar.core.errors import DivergedError


def sparse(n_users: int, n_items: int, *, weighted: bool = False) -> csr_array:
    rng = np.random.default_rng(3)
    x = random_array((n_users, n_items), density=0.08, rng=rng, format="csr", dtype=np.float32)
    x.data = x.data + np.float32(0.5) if weighted else np.ones_like(x.data)
    return csr_array(x)


def dense_inverse(x: csr_array, penalties: np.ndarray) -> np.ndarray:
    dense = x.toarray().astype(np.float64)
    return np.linalg.inv(dense.T @ dense + np.diag(penalties.astype(np.float64)))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("by_users", [False, True], ids=["by items", "by users"])
@pytest.mark.parametrize("columns", [7, 50, 1024])
def test_both_ways_are_the_inverse(monkeypatch, columns, by_users, weighted) -> None:
    monkeypatch.setattr(regularised_gram, "BLOCK_COLUMNS", columns)
    monkeypatch.setattr(regularised_gram, "goes_by_users", lambda *sizes: by_users)
    x = sparse(40, 100, weighted=weighted)
    penalties = np.random.default_rng(0).uniform(0.5, 20, 100).astype(np.float32)
    found = inverse_of_regularised_gram(x, penalties)
    np.testing.assert_allclose(found, dense_inverse(x, penalties), rtol=2e-5, atol=2e-7)
    np.testing.assert_array_equal(found, found.T)
    assert found.dtype == np.float32
    assert found.flags.f_contiguous


def test_items_nobody_has_and_users_without_items_are_no_obstacle(monkeypatch) -> None:
    monkeypatch.setattr(regularised_gram, "goes_by_users", lambda *sizes: True)
    x = csr_array(np.array([[1, 0, 1, 0, 0], [0, 0, 0, 0, 0]], np.float32))
    penalties = np.full(5, 2, np.float32)
    found = inverse_of_regularised_gram(x, penalties)
    np.testing.assert_allclose(found, dense_inverse(x, penalties), rtol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((5_551, 16_980, 204_986), True),
        ((10_420, 22_347, 625_000), True),
        ((12_000, 22_347, 700_000), False),  # more than half as many users as items
        ((500, 1_100, 200_000), False),  # a third of all entries: sparse products take longer
        ((138_493, 26_744, 10_000_000), False),
    ],
)
def test_the_faster_way_is_taken(sizes, expected) -> None:
    assert goes_by_users(*sizes) == expected
    by_items = sizes[1] ** 3 + regularised_gram.ENTRY_COST * sizes[1] ** 2
    work = regularised_gram.n_multiplications(*sizes)
    assert work < by_items if expected else work == by_items


def test_the_way_does_not_matter_to_rounding(monkeypatch) -> None:
    x, penalties = sparse(300, 700), np.full(700, 7, np.float32)
    ways = []
    for by_users in (False, True):
        monkeypatch.setattr(regularised_gram, "goes_by_users", lambda *s, way=by_users: way)
        ways.append(inverse_of_regularised_gram(x, penalties))
    np.testing.assert_allclose(*ways, atol=1e-6)


def test_what_float32_cannot_tell_from_a_singular_matrix_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(regularised_gram, "goes_by_users", lambda *sizes: True)
    with pytest.raises(DivergedError, match="raise l2"):
        inverse_of_regularised_gram(sparse(40, 100) * 1000, np.full(100, 1e-3, np.float32))


def test_gram_is_the_product() -> None:
    x = sparse(40, 100)
    np.testing.assert_array_equal(gram(x), x.toarray().T @ x.toarray())


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


@pytest.mark.parametrize("n_threads", [2, 3, 40])
def test_threads_change_no_bit_of_the_gram_matrix(monkeypatch, n_threads: int) -> None:
    x = sparse(300, 90, weighted=True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    alone = gram(x)
    monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads)
    monkeypatch.setattr(regularised_gram, "BLOCK_COLUMNS", 10)
    np.testing.assert_array_equal(gram(x), alone)
