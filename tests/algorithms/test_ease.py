"""EASE: the closed form against its definition and an independent derivation."""

import numpy as np
import pytest
from scipy.sparse import random_array

from nearfar.algorithms.ease import EASE
from nearfar.algorithms.edlae import EDLAE
from nearfar.core import memory
from nearfar.core.errors import DoesNotFitError, SettingsError
from nearfar.data.interactions import Interactions
from tests.conftest import interactions


def random_interactions(n_users: int = 400, n_items: int = 60, seed: int = 0):
    rng = np.random.default_rng(seed)
    x = random_array((n_users, n_items), density=0.1, rng=rng, format="csr")
    return interactions((x.toarray() > 0).astype(np.float32))


def constrained_ridge(x: np.ndarray, l2: float) -> np.ndarray:
    """Column j of B by its own regression of x_j on all other columns, in float64."""
    n_items = x.shape[1]
    weights = np.zeros((n_items, n_items))
    for j in range(n_items):
        others = np.delete(np.arange(n_items), j)
        a = x[:, others]
        normal = a.T @ a + l2 * np.eye(n_items - 1)
        weights[others, j] = np.linalg.solve(normal, a.T @ x[:, j])
    return weights


@pytest.mark.parametrize("l2", [1.0, 30.0, 500.0])
def test_is_the_ridge_regression_with_a_zero_diagonal(l2: float) -> None:
    data = random_interactions()
    model = EASE(l2=l2, user_exponent=0).fit(data)
    expected = constrained_ridge(data.x.toarray().astype(np.float64), l2)
    np.testing.assert_allclose(model.weights, expected, atol=1e-5)


@pytest.mark.parametrize("exponent", [0.25, 1.0])
def test_the_user_exponent_weighs_the_rows_of_the_regression(exponent: float) -> None:
    data = random_interactions(80, 20)
    x = data.x.toarray().astype(np.float64)
    x[7] = 0  # a user without interactions has no weight and does no harm
    data = interactions(x.astype(np.float32))
    n = x.sum(1)
    of_users = np.where(n > 0, np.maximum(n, 1) ** -exponent, 0)
    rows = x * np.sqrt(of_users * n.sum() / (of_users * n).sum())[:, None]
    ease = EASE(l2=3.0, user_exponent=exponent).fit(data).weights
    np.testing.assert_allclose(ease, constrained_ridge(rows, 3.0), atol=1e-5)
    edlae = EDLAE(dropout=0.5, l2=3.0, user_exponent=exponent).fit(data).weights
    inverse = np.linalg.inv(rows.T @ rows + np.diag(3.0 + (rows**2).sum(0)))
    np.testing.assert_allclose(edlae, np.eye(20) - inverse / np.diag(inverse), atol=1e-5)


def test_users_of_equal_length_keep_the_weight_1_whatever_the_exponent() -> None:
    x = np.tile([[1.0, 1, 1, 0], [0, 1, 1, 1]], (5, 1)).astype(np.float32)
    plain, weighed = (
        EASE(l2=2.0, user_exponent=e).fit(interactions(x)).weights for e in (0.0, 1.0)
    )
    np.testing.assert_allclose(weighed, plain, atol=1e-6)


def test_weights_of_users_weigh_the_rows_of_the_regression() -> None:
    data = random_interactions(80, 20)
    of_users = np.random.default_rng(2).uniform(0.5, 3, data.n_users)
    weights = np.repeat(of_users, np.diff(data.x.indptr))
    weighed = Interactions(data.x, data.user_ids, data.item_ids, weights)
    rows = np.sqrt(of_users / weights.mean())[:, None] * data.x.toarray()
    ease = EASE(l2=3.0, user_exponent=0).fit(weighed).weights
    np.testing.assert_allclose(ease, constrained_ridge(rows, 3.0), atol=1e-5)
    edlae = EDLAE(dropout=0.5, l2=3.0, user_exponent=0).fit(weighed).weights
    penalties = 3.0 + (rows**2).sum(0)
    inverse = np.linalg.inv(rows.T @ rows + np.diag(penalties))
    expected = np.eye(20) - inverse / np.diag(inverse)
    np.testing.assert_allclose(edlae, expected, atol=1e-5)


def test_diagonal_is_zero_and_weights_are_float32_in_c_order() -> None:
    weights = EASE(l2=10.0).fit(random_interactions()).weights
    assert (np.diagonal(weights) == 0).all()
    assert weights.dtype == np.float32
    assert weights.flags.c_contiguous


def test_more_than_memory_is_refused_before_it_starts(monkeypatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 10_000)
    with pytest.raises(DoesNotFitError, match=r"EASE on 60 items needs .* items would fit"):
        EASE(l2=10.0).fit(random_interactions())


@pytest.mark.slow
@pytest.mark.parametrize("n_users", [2000, 6000], ids=["by users", "by items"])
def test_peak_memory_is_as_stated(n_users: int) -> None:
    """4 bytes an entry and the blocks: measured in a process of its own."""
    import subprocess
    import sys

    script = """
import resource, sys
import numpy as np
from scipy.sparse import random_array, csr_array
from nearfar.algorithms.ease import EASE
from nearfar.algorithms.regularised_gram import peak_bytes
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import Interactions
n, n_users = 4000, int(sys.argv[1])
x = csr_array(random_array((n_users, n), density=0.005, rng=np.random.default_rng(0), format="csr"))
data = Interactions(x, Vocabulary(range(n_users)), Vocabulary(range(n)))
EASE(l2=10.).fit(Interactions(x[:, :50], data.user_ids, Vocabulary(range(50))))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
EASE(l2=10.).fit(data)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print((peak - before) / peak_bytes(n_users, n, x.nnz))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(n_users)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 1.25


def test_l2_must_be_positive() -> None:
    with pytest.raises(SettingsError, match="l2"):
        EASE(l2=0.0)
