"""The best latents: against SciPy, and the contraction of Proposition 3.2 on a real decoder."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from nearfar.core.errors import DataError, SettingsError
from nearfar.theory.latent_optimum import latent_optimum
from nearfar.vae.decoder import Decoder

K, N_ITEMS, N_ROWS = 3, 9, 4


def make(seed: int, hidden: tuple[int, ...]) -> tuple[Decoder, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    x = (torch.rand(N_ROWS, N_ITEMS, generator=rng) < 0.4).float()
    return Decoder(K, hidden, N_ITEMS, rng), x, torch.randn(N_ROWS, K, generator=rng)


@given(st.integers(0, 1000), st.floats(0.05, 2), st.floats(0, 3))
@settings(max_examples=10)
def test_one_linear_layer_has_one_minimum_that_scipy_finds_too(
    seed: int, beta: float, weight: float
) -> None:
    decoder, x, c = make(seed, ())
    found = latent_optimum(decoder, x, torch.zeros(N_ROWS, K), beta, weight, c)
    w, b = (p.detach().double().numpy() for p in (decoder.out.weight, decoder.out.bias))

    def objective(mu: np.ndarray, own: np.ndarray, centre: np.ndarray) -> float:
        logits = w @ mu + b
        nll = own.sum() * np.log(np.exp(logits).sum()) - own @ logits
        return nll + 0.5 * beta * mu @ mu + weight * np.square(mu - centre).sum()

    for row in range(N_ROWS):
        best = minimize(objective, np.zeros(K), (x[row].numpy().astype(float), c[row].numpy()))
        np.testing.assert_allclose(found.mu[row], best.x, atol=1e-4)
    assert (found.slope < 1e-4).all()


def test_from_a_deep_decoder_every_way_leads_down() -> None:
    decoder, x, start = make(1, (6,))
    found = latent_optimum(decoder, x, start, 0.3)
    assert (found.slope < 1e-4).all()
    before = latent_optimum(decoder, x, start, 0.3).mu
    torch.testing.assert_close(found.mu, before)  # no randomness
    assert all(not p.requires_grad or p.grad is None for p in decoder.parameters())
    assert decoder.out.weight.dtype == torch.float32


def test_more_alignment_brings_it_nearer_to_the_centroid() -> None:
    decoder, x, c = make(2, (6,))
    away = [
        (latent_optimum(decoder, x, c, 0.3, weight, c).mu - c.double()).norm(dim=1)
        for weight in (0.0, 0.5, 50.0)
    ]
    assert (away[1] < away[0]).all()
    assert (away[2] < 0.1 * away[1]).all()


def test_what_is_refused() -> None:
    decoder, x, c = make(0, ())
    with pytest.raises(SettingsError, match="centroids"):
        latent_optimum(decoder, x, c, 0.3, 1.0)
    with pytest.raises(DataError, match="3 dimensions to 9 items"):
        latent_optimum(decoder, x[:, :5], c, 0.3)
