"""Agreement with irspack's closed forms: its DenseSLIM is EASE, its EDLAE ours."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, csr_matrix

from nearfar.algorithms.ease import EASE
from nearfar.algorithms.edlae import EDLAE
from nearfar.data.interactions import FoldIn, Interactions
from tests.algorithms import dense
from tests.conftest import interactions

irspack = pytest.importorskip("irspack", reason="irspack is not installed")


@pytest.fixture(params=["clusters", "random"])
def data(request, clusters: tuple[Interactions, FoldIn]) -> Interactions:
    if request.param == "clusters":
        return clusters[0]
    return interactions(dense.random_matrix(300, 80, 0.15, 3))


def check(ours, theirs, data: Interactions) -> None:
    """The same weights, and the same scores for histories."""
    theirs.learn()
    expected = np.asarray(theirs.W)
    np.testing.assert_allclose(ours.weights, expected, atol=2e-5)
    histories = data.x[:20]
    np.testing.assert_allclose(
        ours.score(csr_array(histories)), np.asarray(histories @ expected), atol=1e-4
    )


@pytest.mark.parametrize("l2", [1.0, 30.0])
def test_ease(l2: float, data: Interactions) -> None:
    theirs = irspack.DenseSLIMRecommender(csr_matrix(data.x), reg=l2)
    check(EASE(l2=l2, user_exponent=0).fit(data), theirs, data)


@pytest.mark.parametrize(("dropout", "l2"), [(0.1, 5.0), (0.5, 20.0)])
def test_edlae(dropout: float, l2: float, data: Interactions) -> None:
    theirs = irspack.EDLAERecommender(csr_matrix(data.x), reg=l2, dropout_p=dropout)
    check(EDLAE(dropout=dropout, l2=l2, user_exponent=0).fit(data), theirs, data)
