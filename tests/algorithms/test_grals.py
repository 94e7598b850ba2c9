"""GRALS: its graph, its system of normal equations, and WMF as its special case."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nearfar.algorithms.algorithm import make_algorithm, preset
from nearfar.algorithms.als import Sides
from nearfar.algorithms.grals import GRALS, laplacian, neighbour_graph
from nearfar.algorithms.graph_ridge import ItemSystem, Laplacian, conjugate_gradient
from nearfar.algorithms.wmf import WMF
from nearfar.core.errors import SettingsError
from nearfar.kernels.rows import Rows
from nearfar.models.least_squares import Confidence, weighted_least_squares
from nearfar.train.run import Run
from tests.algorithms import dense
from tests.conftest import interactions

CPU = Run(seed=2, device="cpu")
N_USERS, N_ITEMS, K = 40, 14, 3
X = dense.random_matrix(N_USERS, N_ITEMS, 0.3, 5)
L = laplacian(neighbour_graph(csr_array(X), 3))
WEIGHT = 0.8
RNG = np.random.default_rng(1)
USERS, ITEMS = RNG.normal(size=(N_USERS, K)), RNG.normal(size=(N_ITEMS, K))
CONFIDENCES = [Confidence(0.2, 0.5, 1.0), Confidence(1.0, 0.5, 0.0)]


def system(confidence: Confidence) -> ItemSystem:
    """Of float64, in which the solution can be held to the definition."""
    rows = Rows.from_csr(csr_array(X.T))
    graph = Laplacian.of(L, WEIGHT, torch.device("cpu"))
    return ItemSystem.of(rows, torch.from_numpy(USERS), confidence, graph)


def loss(users: np.ndarray, items: np.ndarray, confidence: Confidence) -> float:
    """WMF's objective and half the sum over pairs of S_ij |v_i - v_j|^2, twice that a pair."""
    similar = -L.toarray()
    np.fill_diagonal(similar, 0)
    apart = ((items[:, None] - items[None]) ** 2).sum(2)
    return dense.loss(X, users, items, confidence) + WEIGHT * 0.5 * float((similar * apart).sum())


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_the_normal_equations_are_the_gradient_of_the_objective(confidence: Confidence) -> None:
    """By finite differences: 2 (A V - B) is its derivative in every entry of V."""
    equations = system(confidence)
    basis = equations.ridge.basis.numpy()
    turned = torch.from_numpy(ITEMS @ basis)
    gradient = 2 * (equations.product(turned) - equations.right_side()).numpy() @ basis.T
    for i in range(N_ITEMS):
        for j in range(K):
            step = np.zeros_like(ITEMS)
            step[i, j] = 1e-5
            difference = loss(USERS, ITEMS + step, confidence) - loss(
                USERS, ITEMS - step, confidence
            )
            assert gradient[i, j] == pytest.approx(difference / 2e-5, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_conjugate_gradient_solves_the_normal_equations(confidence: Confidence) -> None:
    equations = system(confidence)
    found = equations.solve(torch.from_numpy(ITEMS), 200, 1e-13)
    columns = torch.eye(N_ITEMS * K, dtype=torch.float64).view(-1, N_ITEMS, K)
    matrix = torch.stack([equations.product(c).ravel() for c in columns], 1)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    np.testing.assert_allclose(matrix.diagonal().view(N_ITEMS, K), equations.diagonal())
    exact = torch.linalg.solve(matrix, equations.right_side().ravel()).view(N_ITEMS, K)
    np.testing.assert_allclose(found, exact @ equations.ridge.basis.T, atol=1e-10)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_the_objective_falls_with_every_half_step(confidence: Confidence, steps: int) -> None:
    """However early conjugate gradient is stopped."""
    users, items = torch.from_numpy(USERS), torch.from_numpy(ITEMS)
    by_user, by_item = Rows.from_csr(csr_array(X)), Rows.from_csr(csr_array(X.T))
    graph = Laplacian.of(L, WEIGHT, torch.device("cpu"))
    losses = [loss(USERS, ITEMS, confidence)]
    for _ in range(5):
        users = weighted_least_squares(by_user, items, confidence)
        losses.append(loss(users.numpy(), items.numpy(), confidence))
        items = ItemSystem.of(by_item, users, confidence, graph).solve(items, steps, 0.0)
        losses.append(loss(users.numpy(), items.numpy(), confidence))
    assert (np.diff(losses) < 0).all()


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_without_the_graph_it_is_wmf(confidence: Confidence) -> None:
    weights = {
        "unobserved_weight": confidence.unobserved_weight,
        "l2": confidence.l2,
        "l2_exponent": confidence.l2_exponent,
        "n_factors": K,
        "iterations": 5,
    }
    data = interactions(X)
    wmf = WMF(**weights).fit(data, run=CPU)
    grals = GRALS(**weights, graph_weight=0.0, cg_iterations=100, cg_tolerance=1e-7).fit(
        data, run=CPU
    )
    np.testing.assert_allclose(grals.item_factors, wmf.item_factors, atol=1e-4)


def test_the_graph_draws_similar_items_together() -> None:
    """Items often met together end nearer to each other, relative to their lengths."""
    data = interactions(dense.tastes())
    order = Sides.of(data, CPU.torch_device).order
    graph = neighbour_graph(csr_array(data.x[:, order]), 3).tocoo()
    apart = []
    for weight in (0.0, 1.0, 30.0):
        v = GRALS(3, weight, 3, l2=2.0).fit(data, run=CPU).item_factors[order]
        apart.append(((v[graph.row] - v[graph.col]) ** 2).sum() / (v**2).sum())
    assert apart[0] > apart[1] > apart[2]


def test_neighbours_are_the_most_similar_by_cosine(monkeypatch) -> None:
    monkeypatch.setattr("nearfar.algorithms.grals.BLOCK_COLUMNS", 5)
    lengths = np.sqrt(np.maximum(X.sum(0), 1))
    cosines = X.T @ X / np.outer(lengths, lengths)
    np.fill_diagonal(cosines, 0)
    kept = np.zeros_like(cosines)
    for i, row in enumerate(cosines):
        nearest = np.argsort(-row.astype(np.float32), kind="stable")[:4]
        kept[i, nearest] = row[nearest]
    graph = neighbour_graph(csr_array(X), 4)
    np.testing.assert_allclose(graph.toarray(), np.maximum(kept, kept.T), atol=1e-6)
    assert (graph.data > 0).all()


def test_the_lower_item_wins_a_tie_and_nobody_is_its_own_neighbour() -> None:
    graph = neighbour_graph(csr_array(np.ones((3, 4))), 1).toarray()
    joined = [(i, j) for i, j in zip(*np.nonzero(graph), strict=True) if i < j]
    assert joined == [(0, 1), (0, 2), (0, 3)]


def test_more_neighbours_than_items_are_all_of_them() -> None:
    graph = neighbour_graph(csr_array(np.ones((3, 4))), 50).toarray()
    np.testing.assert_allclose(graph, 1 - np.eye(4), atol=1e-6)


def test_the_laplacian_sums_squared_distances() -> None:
    graph = neighbour_graph(csr_array(X), 3).toarray()
    apart = ((ITEMS[:, None] - ITEMS[None]) ** 2).sum(2)
    found = np.trace(ITEMS.T @ laplacian(csr_array(graph)).toarray() @ ITEMS)
    assert found == pytest.approx(0.5 * (graph * apart).sum(), rel=1e-5)


@pytest.mark.parametrize(
    "bad",
    [{"n_factors": 0}, {"n_neighbours": 0}, {"iterations": 0}, {"cg_iterations": 0},
     {"graph_weight": -1.0}, {"init_scale": 0.0}, {"cg_tolerance": -1.0}, {"l2": 0.0}],
)  # fmt: skip
def test_impossible_settings_are_refused(bad) -> None:
    with pytest.raises(SettingsError):
        GRALS(**bad)


def test_presets_are_settings() -> None:
    for name in ("ml-20m", "netflix", "msd", "ml-1m"):
        assert isinstance(make_algorithm("grals", preset("grals", name)), GRALS)
    assert make_algorithm("grals", preset("grals", "ml-1m")) == GRALS()


def test_what_underflows_ends_conjugate_gradient() -> None:
    """Factors that the penalty shrinks to nothing must not end in a division of zero by zero."""
    tiny = torch.full((3, 2), 1e-20)
    found = conjugate_gradient(
        lambda x: 1e6 * x, tiny, torch.zeros(3, 2), torch.full((3, 2), 1e6), 10, 1e-3
    )
    assert (found == 0).all()
