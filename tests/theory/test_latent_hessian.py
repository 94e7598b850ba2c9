"""The Hessian of Proposition 3.2, by formula, by differences, and in use."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.sparse import csr_array

from nearfar.core.errors import DataError
from nearfar.kernels.rows import Rows
from nearfar.theory.contraction import Contraction
from nearfar.theory.latent_hessian import latent_hessian
from nearfar.vae.decoder import Decoder
from nearfar.vae.layers import Units

N_USERS, N_ITEMS, K = 4, 9, 3
SEEDS = st.integers(0, 10_000)


def make(
    seed: int, hidden: tuple[int, ...], units: Units = "tanh"
) -> tuple[Decoder, np.ndarray, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    decoder = Decoder(K, hidden, N_ITEMS, rng, units).double()
    dense = (np.random.default_rng(seed).random((N_USERS, N_ITEMS)) < 0.4).astype(np.float32)
    dense[0] = 0
    return decoder, dense, torch.randn(N_USERS, K, generator=rng, dtype=torch.float64)


def objective(decoder: Decoder, x: np.ndarray, z: np.ndarray, beta: float) -> np.ndarray:
    """-log p(x|z) + (beta/2) ||z||^2 as it is written."""
    with torch.no_grad():
        shares = torch.log_softmax(decoder(torch.from_numpy(z)), 1).numpy()
    return -(x * shares).sum(1) + 0.5 * beta * np.square(z).sum(1)


@given(SEEDS, st.floats(0, 2))
def test_linear_decoder_has_the_closed_form(seed: int, beta: float) -> None:
    decoder, dense, z = make(seed, ())
    found = latent_hessian(decoder, Rows.from_csr(csr_array(dense)), z, beta)
    weight = decoder.out.weight.detach().numpy()
    for user in range(N_USERS):
        p = torch.softmax(decoder(z[user : user + 1]), 1)[0].detach().numpy()
        curved = dense[user].sum() * weight.T @ (np.diag(p) - np.outer(p, p)) @ weight
        np.testing.assert_allclose(found[user], curved + beta * np.eye(K), atol=1e-12)
        assert np.linalg.eigvalsh(found[user]).min() >= beta - 1e-9


@pytest.mark.parametrize("units", ["tanh", "gated"])
@pytest.mark.parametrize("hidden", [(5,), (6, 5)])
def test_deep_decoder_has_that_of_differences(hidden: tuple[int, ...], units: Units) -> None:
    decoder, dense, z = make(1, hidden, units)
    found = latent_hessian(decoder, Rows.from_csr(csr_array(dense)), z, 0.3)
    h, at = 1e-4, z.numpy()
    for i, a in enumerate(h * np.eye(K)):
        for j, b in enumerate(h * np.eye(K)):
            corners = [objective(decoder, dense, at + s * a + t * b, 0.3) * s * t
                       for s in (1, -1) for t in (1, -1)]  # fmt: skip
            np.testing.assert_allclose(found[:, i, j], sum(corners) / (4 * h * h), atol=1e-5)
    np.testing.assert_array_equal(found, found.transpose(0, 2, 1))


def test_it_predicts_the_contraction_of_a_real_objective() -> None:
    """The optimum with alignment, found by search, is where Proposition 3.2 puts it, as far as
    the objective is quadratic: better the nearer the centroid is."""
    decoder, dense, _ = make(5, ())
    x, weight, beta = dense[1:2], 0.5, 1.0
    rows = Rows.from_csr(csr_array(x))

    def optimum(centroid: np.ndarray, align_weight: float) -> np.ndarray:
        def loss(z: np.ndarray) -> float:
            value = objective(decoder, x, z[None], beta)[0]
            return float(value + align_weight * np.square(z - centroid).sum())

        return minimize(loss, np.zeros(K), tol=1e-12, options={"gtol": 1e-7}).x

    star = optimum(np.zeros(K), 0.0)
    theory = Contraction(latent_hessian(decoder, rows, torch.tensor(star)[None], beta)[0], weight)
    misses = []
    for distance in (1.0, 0.1):
        centroid = star + distance * np.array([1.0, -1.0, 0.5])
        measured = optimum(centroid, weight)
        predicted = theory.optimum(star[None], centroid)[0]
        misses.append(np.linalg.norm(measured - predicted) / np.linalg.norm(measured - star))
    assert misses[0] < 0.2
    assert misses[1] < max(1e-3, misses[0] / 5)


def test_what_does_not_match_is_refused() -> None:
    decoder, dense, z = make(0, ())
    with pytest.raises(DataError, match="3 latents"):
        latent_hessian(decoder, Rows.from_csr(csr_array(dense)), z[:3], 1.0)
