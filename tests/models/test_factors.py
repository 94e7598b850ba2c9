"""The factor model: scores, folding in, and what is saved of it."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from nearfar.core.errors import ArtefactError, DataError
from nearfar.models.factors import Factors, Folding, LeastSquaresFolding, LinearFolding
from nearfar.models.least_squares import Confidence
from tests.algorithms import dense

N_ITEMS, K = 15, 4
RNG = np.random.default_rng(0)
ITEMS = RNG.normal(size=(N_ITEMS, K)).astype(np.float32)
BIAS = RNG.normal(size=N_ITEMS).astype(np.float32)
CONFIDENCE = Confidence(0.2, 0.7, 0.5)
LINEAR = LinearFolding(RNG.normal(size=(N_ITEMS, K)).astype(np.float32), np.ones(K, np.float32))
X = dense.random_matrix(9, N_ITEMS, 0.4, 3)


def model(folding: Folding) -> Factors:
    return Factors(ITEMS, BIAS, folding, np.arange(N_ITEMS), 100)


def test_linear_folding_is_a_product() -> None:
    users = X @ LINEAR.projection + 1
    found = model(LINEAR)
    np.testing.assert_allclose(found.fold_in(csr_array(X)), users, atol=1e-5)
    met = X.any(1)
    expected = users @ ITEMS.T + BIAS
    np.testing.assert_allclose(found.score(csr_array(X))[met], expected[met], atol=1e-5)


def test_folding_by_least_squares_is_a_half_step() -> None:
    users = dense.half_step(X, ITEMS.astype(np.float64), CONFIDENCE)
    found = model(LeastSquaresFolding(ITEMS, CONFIDENCE))
    np.testing.assert_allclose(found.fold_in(csr_array(X)), users, atol=1e-6)
    met = X.any(1)
    expected = users @ ITEMS.T + BIAS
    np.testing.assert_allclose(found.score(csr_array(X))[met], expected[met], atol=1e-5)


def test_histories_of_other_items_are_refused() -> None:
    with pytest.raises(DataError, match="items"):
        model(LINEAR).fold_in(csr_array((1, 3), dtype=np.float32))


@pytest.mark.parametrize("folding", [LINEAR, LeastSquaresFolding(ITEMS, CONFIDENCE)])
def test_what_is_saved_is_the_model(folding: Folding) -> None:
    found = model(folding)
    description, arrays = found.state()
    restored = Factors.restore(description, dict(arrays), found.popularity, 100)
    assert restored.n_factors == K
    np.testing.assert_array_equal(restored.score(csr_array(X)), found.score(csr_array(X)))


@pytest.mark.parametrize("name", ["item_factors", "item_bias", "projection", "offset"])
def test_a_missing_or_misshapen_array_is_named(name: str) -> None:
    description, arrays = model(LINEAR).state()
    short = {**arrays, name: arrays[name][:-1]}
    without = {n: a for n, a in arrays.items() if n != name}
    double = {**arrays, name: arrays[name].astype(np.float64)}
    for broken in (short, without, double):
        with pytest.raises(ArtefactError, match=name):
            Factors.restore(description, broken, np.arange(N_ITEMS), 100)


def test_an_unknown_way_to_fold_in_is_refused() -> None:
    _, arrays = model(LINEAR).state()
    with pytest.raises(ArtefactError, match="'magic'"):
        Factors.restore({"folding": "magic"}, arrays, np.arange(N_ITEMS), 100)
