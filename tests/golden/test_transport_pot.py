"""Transport distances between posteriors agree with the library Python Optimal Transport."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from nearfar.theory.transport import empirical_w1, w2
from nearfar.vae.posterior import DiagonalGaussian

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of backends that are not there
    ot = pytest.importorskip("ot", reason="POT is not installed")


@pytest.mark.parametrize("seed", range(5))
def test_w1_of_samples_is_the_cheapest_transport(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(60, 5)), 0.5 + 2 * rng.normal(size=(60, 5))
    costs = ot.dist(first, second, metric="euclidean")
    expected = ot.emd2(ot.unif(60), ot.unif(60), costs)
    assert empirical_w1(first, second) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_w2_is_that_of_gaussians(seed: int) -> None:
    rng = np.random.default_rng(seed)
    means, logvars = rng.normal(size=(2, 7)), rng.normal(size=(2, 7))
    q, p = (
        DiagonalGaussian(torch.from_numpy(means[[i]]), torch.from_numpy(logvars[[i]]))
        for i in range(2)
    )
    expected = ot.gaussian.bures_wasserstein_distance(
        means[0], means[1], np.diag(np.exp(logvars[0])), np.diag(np.exp(logvars[1]))
    )
    assert w2(q, p).item() == pytest.approx(float(expected), rel=1e-10)
