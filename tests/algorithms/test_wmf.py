"""WMF: MF as its special case, the two published notations, and folding in."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from nearfar.algorithms.algorithm import make_algorithm, preset
from nearfar.algorithms.als import Sides
from nearfar.algorithms.grals import GRALS
from nearfar.algorithms.mf import MF
from nearfar.algorithms.wmf import WMF
from nearfar.core.errors import SettingsError
from nearfar.data.interactions import Interactions
from nearfar.models.least_squares import Confidence
from nearfar.train.run import Run
from tests.algorithms import dense
from tests.conftest import interactions

CPU = Run(seed=2, device="cpu")
X = dense.random_matrix(50, 18, 0.3, 5)
DATA = interactions(X)
MET = X.any(1)


def start(n_factors: int, scale: float) -> np.ndarray:
    """The item factors that a fit begins with."""
    sides = Sides.of(DATA, CPU.torch_device)
    return sides.in_data_order(sides.initial_factors(n_factors, scale, CPU)).astype(np.float64)


@pytest.mark.parametrize("iterations", [1, 4, 30])
def test_with_uniform_weights_it_is_mf(iterations: int) -> None:
    wmf = WMF(
        n_factors=4, unobserved_weight=1.0, l2=2.0, l2_exponent=0.0, iterations=iterations,
        init_scale=1.0,
    ).fit(DATA, run=CPU)  # fmt: skip
    mf = MF(n_factors=4, l2=2.0, iterations=iterations, item_bias=False).fit(DATA, run=CPU)
    np.testing.assert_allclose(wmf.item_factors, mf.item_factors, atol=1e-5)
    x = csr_array(X)
    np.testing.assert_allclose(wmf.score(x)[MET], mf.score(x)[MET], atol=1e-5)


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_iterations_are_exact_half_steps_and_the_loss_falls(exponent: float) -> None:
    confidence = Confidence(0.2, 0.3, exponent)
    items = start(5, 0.1)
    users = dense.half_step(X, items, confidence)
    losses = [dense.loss(X, users, items, confidence)]
    for _ in range(6):
        items = dense.half_step(X.T, users, confidence)
        losses.append(dense.loss(X, users, items, confidence))
        users = dense.half_step(X, items, confidence)
        losses.append(dense.loss(X, users, items, confidence))
    assert (np.diff(losses) < 0).all()
    model = WMF(5, 0.2, 0.3, exponent, iterations=6).fit(DATA, run=CPU)
    np.testing.assert_allclose(model.item_factors, items, atol=1e-4)


@pytest.mark.parametrize("unobserved", [0.2, 1.0])
@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_weights_of_interactions_weigh_the_squares(exponent: float, unobserved: float) -> None:
    weights = np.random.default_rng(1).uniform(0.1, 4, int(X.sum()))
    data = Interactions(DATA.x, DATA.user_ids, DATA.item_ids, weights)
    w = data.weighted.toarray().astype(np.float64)
    confidence = Confidence(unobserved, 0.3, exponent)
    items = start(5, 0.1)
    for _ in range(2):
        items = dense.half_step(w.T, dense.half_step(w, items, confidence), confidence)
    model = WMF(5, unobserved, 0.3, exponent, iterations=2).fit(data, run=CPU)
    np.testing.assert_allclose(model.item_factors, items, atol=1e-4)
    graph = GRALS(
        5, graph_weight=0.0, unobserved_weight=unobserved, l2=0.3, l2_exponent=exponent,
        iterations=2, cg_iterations=60, cg_tolerance=0,
    ).fit(data, run=CPU)  # fmt: skip
    np.testing.assert_allclose(graph.item_factors, items, atol=1e-3)


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_the_notation_of_rendle_et_al_is_the_same_model(exponent: float) -> None:
    """All entries weigh alpha0 with target 0, those met 1 more with target 1; penalty by |S|."""
    alpha0, l2 = 0.25, 0.2
    scale = 1 + alpha0
    items = start(4, 0.1) / scale**0.5

    def project(x: np.ndarray, factors: np.ndarray) -> np.ndarray:
        result = []
        for row in x:
            met = factors[row > 0]
            penalty = l2 * (len(met) + alpha0 * len(factors)) ** exponent
            normal = met.T @ met + alpha0 * factors.T @ factors + penalty * np.eye(4)
            result.append(np.linalg.solve(normal, met.sum(0)))
        return np.array(result)

    for _ in range(5):
        items = project(X.T, project(X, items))
    theirs = project(X, items) @ items.T
    ours = WMF(4, alpha0 / scale, l2 * scale**exponent, exponent, 5).fit(DATA, run=CPU)
    np.testing.assert_allclose(ours.score(csr_array(X))[MET], scale * theirs[MET], atol=1e-4)


def test_folding_in_a_training_user_gives_the_factors_it_was_trained_with() -> None:
    confidence = Confidence(0.2, 2.0, 0.0)
    x = dense.tastes()
    model = WMF(3, 0.2, 2.0, 0.0, iterations=30).fit(interactions(x), run=CPU)
    users = model.fold_in(csr_array(x)).astype(np.float64)
    items = dense.half_step(x.T, users, confidence)
    np.testing.assert_allclose(model.item_factors, items, atol=1e-5)


def test_what_was_not_met_weighing_less_ranks_the_rare_higher() -> None:
    """Two items often met together, one far more often: its weight is not all that counts."""
    rng = np.random.default_rng(0)
    x = (rng.random((80, 6)) < 0.05).astype(np.float64)
    x[:60, 0] = 1
    x[:8, 1:3] = 1
    data = interactions(x)
    history = csr_array(np.eye(6)[[1]])
    light, even = (
        WMF(3, weight, 0.5, 0.0, iterations=30).fit(data, run=CPU).score(history)[0]
        for weight in (0.02, 1.0)
    )
    assert light[2] / light[0] > even[2] / even[0]


@pytest.mark.parametrize(
    "bad",
    [{"n_factors": 0}, {"iterations": 0}, {"l2": 0.0}, {"unobserved_weight": 0.0},
     {"unobserved_weight": 2.0}, {"l2_exponent": -1.0}, {"init_scale": 0.0}],
)  # fmt: skip
def test_impossible_settings_are_refused(bad) -> None:
    with pytest.raises(SettingsError):
        WMF(**bad)


def test_presets_are_settings() -> None:
    for name in ("ml-20m", "netflix", "msd", "ml-1m"):
        assert isinstance(make_algorithm("wmf", preset("wmf", name)), WMF)
    assert make_algorithm("wmf", preset("wmf", "ml-1m")) == WMF(
        n_factors=256, unobserved_weight=0.2, l2=0.01
    )
