"""PLRec against its definition by a whole singular value decomposition."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from nearfar.algorithms.algorithm import make_algorithm, preset
from nearfar.algorithms.plrec import PLRec
from nearfar.core.errors import SettingsError
from nearfar.train.run import Run
from tests.algorithms import dense
from tests.conftest import interactions

CPU = Run(seed=2, device="cpu")


def defined(x: np.ndarray, k: int, l2: float, exponent: float, histories: np.ndarray) -> np.ndarray:
    """x D V W with W the ridge regression of X on X D V."""
    _, _, right = np.linalg.svd(x, full_matrices=False)
    weights = np.maximum(x.sum(0), 1) ** -exponent
    projection = weights[:, None] * right[:k].T
    z = x @ projection
    w = np.linalg.solve(z.T @ z + l2 * np.eye(k), z.T @ x)
    return histories @ projection @ w


@pytest.mark.parametrize("exponent", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(("k", "l2"), [(3, 5.0), (3, 0.01), (40, 2.0)])
def test_is_a_ridge_regression_on_leading_directions(k: int, l2: float, exponent: float) -> None:
    x = dense.tastes()
    model = PLRec(k, l2, exponent, iterations=6).fit(interactions(x), run=CPU)
    histories = x[:50]
    met = histories.any(1)
    expected = defined(x, k, l2, exponent, histories)
    np.testing.assert_allclose(model.score(csr_array(histories))[met], expected[met], atol=2e-3)


def test_more_factors_than_the_data_has_are_as_many_as_it_has() -> None:
    x = dense.tastes(30, 12)
    model = PLRec(n_factors=256, l2=1.0).fit(interactions(x), run=CPU)
    assert model.n_factors == 12


def test_the_higher_the_exponent_the_less_a_popular_item_tells() -> None:
    x = dense.tastes()
    popular = int(x.sum(0).argmax())
    shares = []
    for exponent in (0.0, 0.5, 1.0):
        model = PLRec(3, 1.0, exponent).fit(interactions(x), run=CPU)
        alone = model.fold_in(csr_array(np.eye(40)))
        lengths = np.linalg.norm(alone, axis=1)
        shares.append(lengths[popular] / lengths.sum())
    assert shares[0] > shares[1] > shares[2]


@pytest.mark.parametrize("bad", [{"n_factors": 0}, {"iterations": -1}, {"l2": 0.0}])
def test_impossible_settings_are_refused(bad) -> None:
    with pytest.raises(SettingsError):
        PLRec(**bad)


def test_presets_are_settings() -> None:
    for name in ("ml-20m", "netflix", "msd", "ml-1m"):
        assert isinstance(make_algorithm("plrec", preset("plrec", name)), PLRec)
    assert make_algorithm("plrec", preset("plrec", "ml-1m")) == PLRec(n_factors=256)
