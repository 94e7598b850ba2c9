"""Agreement with implicit, whose ALS solves the same regressions in compiled code.

Its notation is that of Hu et al.: what was met weighs `alpha`, the rest 1.
"""

from __future__ import annotations

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_array, csr_matrix
from threadpoolctl import threadpool_limits

from nearfar.algorithms.als import Sides
from nearfar.algorithms.wmf import WMF
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.train.run import Run
from tests.algorithms import dense
from tests.conftest import interactions

CPU = Run(seed=4, device="cpu")
K, ITERATIONS, INIT_SCALE = 6, 8, 0.5


def theirs(data: Interactions, alpha: float, regularization: float) -> AlternatingLeastSquares:
    """implicit's model after as many exact iterations from the same item factors."""
    sides = Sides.of(data, CPU.torch_device)
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            K, regularization, alpha, use_cg=False, iterations=ITERATIONS, num_threads=1
        )
        model.item_factors = sides.in_data_order(sides.initial_factors(K, INIT_SCALE, CPU))
        model.fit(csr_matrix(data.x), show_progress=False)
    return model


@pytest.mark.parametrize(("alpha", "regularization"), [(4.0, 2.0), (20.0, 5.0), (1.0, 1.0)])
def test_factors_agree(
    alpha: float, regularization: float, clusters: tuple[Interactions, FoldIn]
) -> None:
    for data in (clusters[0], interactions(dense.random_matrix(70, 25, 0.3, 1))):
        expected = theirs(data, alpha, regularization)
        ours = WMF(K, 1 / alpha, regularization / alpha, 0.0, ITERATIONS, INIT_SCALE).fit(
            data, run=CPU
        )
        np.testing.assert_allclose(ours.item_factors, expected.item_factors, atol=2e-4)


def test_folding_in_agrees(clusters: tuple[Interactions, FoldIn]) -> None:
    train, validation = clusters
    expected = theirs(train, 5.0, 2.0)
    histories = validation.fold_in.x
    folded = expected.recalculate_user(np.arange(histories.shape[0]), csr_matrix(histories))
    ours = WMF(K, 0.2, 0.4, 0.0, ITERATIONS, INIT_SCALE).fit(train, run=CPU)
    np.testing.assert_allclose(ours.fold_in(csr_array(histories)), folded, atol=2e-4)
