"""EDLAE: the closed form against its definition, and EASE as its special case."""

import numpy as np
import pytest

from nearfar.algorithms.ease import EASE
from nearfar.algorithms.edlae import EDLAE
from nearfar.core.errors import SettingsError
from tests.algorithms.test_ease import random_interactions


def test_without_dropout_it_is_ease() -> None:
    data = random_interactions()
    edlae = EDLAE(dropout=0.0, l2=20.0).fit(data)
    np.testing.assert_array_equal(edlae.weights, EASE(l2=20.0).fit(data).weights)


@pytest.mark.parametrize("dropout", [0.2, 0.5])
def test_each_item_is_penalised_by_its_popularity(dropout: float) -> None:
    """Column j minimises |x_j - X b|^2 + sum_i (p / (1 - p) N_i + l2) b_i^2 with b_j = 0."""
    data = random_interactions()
    x = data.x.toarray().astype(np.float64)
    penalties = dropout / (1 - dropout) * x.sum(0) + 15.0
    weights = EDLAE(dropout=dropout, l2=15.0, user_exponent=0).fit(data).weights
    for j in (0, 7, 59):
        others = np.delete(np.arange(60), j)
        a = x[:, others]
        expected = np.linalg.solve(a.T @ a + np.diag(penalties[others]), a.T @ x[:, j])
        np.testing.assert_allclose(weights[others, j], expected, atol=1e-5)
        assert weights[j, j] == 0


def test_it_is_what_training_with_dropout_converges_to() -> None:
    """The expected loss over dropout of the input, in closed form, is least at the weights."""
    data, p = random_interactions(200, 12), 0.3
    x = data.x.toarray().astype(np.float64)
    gram = x.T @ x
    weights = EDLAE(dropout=p, l2=1e-3, user_exponent=0).fit(data).weights.astype(np.float64)

    def expected_loss(b: np.ndarray) -> float:
        """E |X - D(X) B|^2, D dropping entries with p and scaling the rest by 1/(1 - p)."""
        variance = p / (1 - p) * np.sum(np.diag(gram)[:, None] * b**2)
        return float(np.sum((x - x @ b) ** 2) + variance + 1e-3 * np.sum(b**2))

    rng = np.random.default_rng(0)
    for _ in range(20):
        step = 1e-2 * rng.normal(size=weights.shape)
        np.fill_diagonal(step, 0)
        assert expected_loss(weights + step) > expected_loss(weights)


@pytest.mark.parametrize(
    "bad", [{"dropout": 1.0}, {"dropout": -0.1}, {"l2": 0.0}, {"user_exponent": 1.1}]
)
def test_impossible_settings_are_refused(bad) -> None:
    with pytest.raises(SettingsError):
        EDLAE(**bad)
