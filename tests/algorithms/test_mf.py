"""MF: half steps, what they converge to, and folding in."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nearfar.algorithms.algorithm import make_algorithm, preset
from nearfar.algorithms.mf import MF, half_step
from nearfar.core.errors import SettingsError
from nearfar.kernels.rows import Rows
from nearfar.train.run import Run
from tests.algorithms import dense
from tests.conftest import interactions

CPU = Run(seed=2, device="cpu")
X = dense.random_matrix(50, 18, 0.3, 5)
MEANS = X.mean(0)


def test_a_half_step_is_a_ridge_regression_on_all_entries() -> None:
    rng = np.random.default_rng(0)
    rows, columns = rng.random(50), rng.random(18)
    factors = rng.normal(size=(18, 4))
    targets = X - np.outer(rows, columns)
    expected = np.linalg.solve(factors.T @ factors + 3.0 * np.eye(4), factors.T @ targets.T).T
    given = [torch.from_numpy(a) for a in (factors, rows, columns)]
    found = half_step(Rows.from_csr(csr_array(X)), given[0], 3.0, given[1], given[2])
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("item_bias", [True, False])
def test_converges_to_the_soft_thresholded_singular_values(item_bias: bool) -> None:
    """The known minimum of |A - U V'|^2 + l2 (|U|^2 + |V|^2): singular values less l2."""
    k, l2 = 5, 2.0
    means = MEANS * item_bias
    left, values, right = np.linalg.svd(X - means, full_matrices=False)
    expected = (left[:, :k] * np.maximum(values[:k] - l2, 0)) @ right[:k] + means
    model = MF(n_factors=k, l2=l2, iterations=300, item_bias=item_bias).fit(
        interactions(X), run=CPU
    )
    met = X.any(1)
    np.testing.assert_allclose(model.score(csr_array(X))[met], expected[met], atol=1e-3)
    np.testing.assert_allclose(model.item_bias, means, atol=1e-6)


def test_folding_in_a_training_user_gives_the_factors_it_was_trained_with() -> None:
    """The users folded in are those that the item factors are the answer to."""
    x = dense.tastes()
    model = MF(n_factors=3, l2=2.0, iterations=60).fit(interactions(x), run=CPU)
    users = model.fold_in(csr_array(x)).astype(np.float64)
    normal = users.T @ users + 2.0 * np.eye(3)
    items = np.linalg.solve(normal, users.T @ (x - x.mean(0))).T
    np.testing.assert_allclose(model.item_factors, items, atol=1e-4)


def test_one_penalty_stands_for_two() -> None:
    """A penalty of 8 on users and .5 on items is the model of 2 on both, folding in included."""
    of_users, of_items = 8.0, 0.5
    items = np.random.default_rng(1).normal(size=(18, 3))
    targets = X - MEANS
    for _ in range(300):
        users = targets @ items @ np.linalg.inv(items.T @ items + of_users * np.eye(3))
        items = targets.T @ users @ np.linalg.inv(users.T @ users + of_items * np.eye(3))
    fresh = np.eye(18)[:6]
    folded = (fresh - MEANS) @ items @ np.linalg.inv(items.T @ items + of_users * np.eye(3))
    model = MF(n_factors=3, l2=2.0, iterations=300).fit(interactions(X), run=CPU)
    np.testing.assert_allclose(model.score(csr_array(fresh)), folded @ items.T + MEANS, atol=1e-4)


def test_folding_in_is_linear_in_the_history() -> None:
    model = MF(n_factors=4, l2=2.0).fit(interactions(X), run=CPU)
    single = model.fold_in(csr_array(np.eye(18)))
    empty = model.fold_in(csr_array((1, 18), dtype=np.float32))
    expected = X @ (single - empty) + empty
    np.testing.assert_allclose(model.fold_in(csr_array(X)), expected, atol=1e-5)


@pytest.mark.parametrize("bad", [{"n_factors": 0}, {"iterations": 0}, {"l2": 0.0}])
def test_impossible_settings_are_refused(bad) -> None:
    with pytest.raises(SettingsError):
        MF(**bad)


def test_presets_are_settings() -> None:
    for name in ("ml-20m", "netflix", "msd", "ml-1m"):
        assert isinstance(make_algorithm("mf", preset("mf", name)), MF)
    assert make_algorithm("mf", preset("mf", "ml-1m")) == MF(l2=17.0)
