"""Collapsed and active dimensions of posteriors that are known."""

import numpy as np
import pytest
import torch

from nearfar.core.errors import DataError
from nearfar.theory.health import latent_health
from nearfar.vae.posterior import DiagonalGaussian


def test_a_used_a_collapsed_and_a_displaced_dimension() -> None:
    """The second is the prior for everyone; the third is one posterior, far from the prior."""
    rng = torch.Generator().manual_seed(0)
    mu = torch.zeros(400, 3)
    mu[:, 0] = torch.randn(400, generator=rng)
    mu[:, 2] = 3
    logvar = torch.tensor([np.log(0.01), 0.0, 0.0]).expand(400, 3).float()
    found = latent_health(DiagonalGaussian(mu, logvar))
    expected = 0.5 * (float(mu[:, 0].double().square().mean()) + 0.01 - 1 - np.log(0.01))
    np.testing.assert_allclose(found.kl, [expected, 0, 4.5], atol=1e-6)
    assert found.n_active == 1
    assert found.n_collapsed == 2
    assert found.information[0] == pytest.approx(0.5 * np.log(1.01 / 0.01), rel=0.05)


def test_a_point_has_no_kl() -> None:
    mu = torch.zeros(3, 2)
    with pytest.raises(DataError, match="point"):
        latent_health(DiagonalGaussian(mu, torch.full_like(mu, -torch.inf)))
