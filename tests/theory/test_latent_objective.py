"""The objective of Proposition 3.2: against training's own terms, its minimum and its Hessian."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.sparse import csr_array

from nearfar.core.errors import DataError, SettingsError
from nearfar.kernels.rows import Rows
from nearfar.theory.contraction import Contraction, mask_variability
from nearfar.theory.latent_objective import LatentObjective
from nearfar.theory.losses import MULTINOMIAL, BernoulliLoss, Loss, MultinomialLoss
from nearfar.vae.corruption.corruption import Clean
from nearfar.vae.decoder import Decoder
from nearfar.vae.layers import Units
from nearfar.vae.likelihoods.bernoulli import bernoulli
from nearfar.vae.likelihoods.multinomial import SoftReconstruction, reconstruction
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.priors.mixture import Mixture
from nearfar.vae.priors.normal import Normal
from nearfar.vae.step import Step, Term
from tests.vae.networks import ENCODERS

K, N_ITEMS, N_ROWS = 3, 9, 4
SEEDS = st.integers(0, 10_000)


def make(
    seed: int,
    hidden: tuple[int, ...] = (),
    *,
    sigma: float = 0.0,
    n_pairs: int = 1,
    beta: float = 0.3,
    units: Units = "tanh",
    loss: Loss = MULTINOMIAL,
) -> LatentObjective:
    rng = torch.Generator().manual_seed(seed)
    x = (torch.rand(N_ROWS, N_ITEMS, generator=rng) < 0.4).float()
    x[:, 0] = 1
    half = torch.randn(n_pairs, K, generator=rng)
    width = sigma * torch.rand(N_ROWS, K, generator=rng)
    return LatentObjective(
        Decoder(K, hidden, N_ITEMS, rng, units), x, width, torch.cat([half, -half]),
        torch.full((N_ROWS,), beta), loss,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("loss", "term"),
    [(MULTINOMIAL, reconstruction), (MultinomialLoss(0.7), SoftReconstruction(0.7)),
     (BernoulliLoss(), bernoulli)],
)  # fmt: skip
@pytest.mark.parametrize("prior", [Normal(), Mixture(3, 1.0)])
def test_proposition_3_2_objective_is_that_of_training_up_to_a_constant(
    loss: Loss, term: Term, prior
) -> None:
    """Eq. 1 by the terms that training minimises: differences between two means are the same."""
    rng = torch.Generator().manual_seed(3)
    rows = Rows.from_csr(csr_array((np.random.default_rng(0).random((N_ROWS, N_ITEMS)) < 0.5)
                                   .astype(np.float32)))  # fmt: skip
    dense = torch.zeros(N_ROWS, N_ITEMS)
    dense[rows.users, rows.indices] = 1
    decoder = Decoder(K, (5,), N_ITEMS, rng)
    network = prior.build(N_ITEMS, K, rng)
    encoder = ENCODERS["base"].build(N_ITEMS, K, rng)
    logvar, half = torch.randn(2, N_ROWS, K, generator=rng), torch.randn(3, K, generator=rng)
    noise, beta = torch.cat([half, -half]), 0.7

    def step_at(mu: torch.Tensor, eps: torch.Tensor) -> Step:
        draw = DiagonalGaussian(mu, logvar[0]).draw(eps.expand_as(mu))
        shown = Clean().clean(rows)
        return Step(rows, draw, decoder.body(draw.z), decoder.out, encoder, shown, Clean())

    def trained(mu: torch.Tensor) -> torch.Tensor:
        total = torch.zeros(N_ROWS)
        for eps in noise:
            step = step_at(mu, eps)
            kl = step.draw.log_density - network.log_density(step)
            total = total + (term(step) + beta * kl) / len(noise)
        return total.detach()

    step = step_at(logvar[1], half[0])
    objective = LatentObjective(
        decoder, dense, (0.5 * logvar[0]).exp(), noise, torch.full((N_ROWS,), beta), loss,
        network.density(step),
    )  # fmt: skip
    first, second = torch.randn(2, N_ROWS, K, generator=rng)
    with torch.no_grad():
        found = objective.value(first.double()) - objective.value(second.double())
    expected = trained(first) - trained(second)
    torch.testing.assert_close(found.float(), expected, atol=2e-4, rtol=1e-4)


@given(SEEDS, st.floats(0.05, 2), st.floats(0, 3))
@settings(max_examples=8)
def test_one_linear_layer_has_one_minimum_that_scipy_finds_too(
    seed: int, beta: float, weight: float
) -> None:
    objective = make(seed, sigma=0.5, beta=beta)
    c = torch.randn(N_ROWS, K, generator=torch.Generator().manual_seed(seed))
    found = objective.minimum(torch.zeros(N_ROWS, K), weight, c)
    w, b = (p.numpy() for p in (objective.decoder.out.weight, objective.decoder.out.bias))

    def loss(mu: np.ndarray, row: int) -> float:
        value = weight * np.square(mu - c[row].double().numpy()).sum()
        for eps in objective.noise:
            z = mu + (objective.sigma[row] * eps).numpy()
            x, logits = objective.x[row].numpy(), w @ z + b
            nll = x.sum() * np.log(np.exp(logits).sum()) - x @ logits
            value += (nll + 0.5 * beta * z @ z) / len(objective.noise)
        return value

    for row in range(N_ROWS):
        best = minimize(loss, np.zeros(K), (row,))
        np.testing.assert_allclose(found.mu[row], best.x, atol=1e-4)
    assert (found.slope < 1e-4).all()


def test_from_a_deep_decoder_every_way_leads_down_and_to_the_centroid() -> None:
    objective = make(1, (6,), sigma=0.3)
    c = torch.randn(N_ROWS, K, generator=torch.Generator().manual_seed(0))
    away = []
    for weight in (0.0, 0.5, 50.0):
        found = objective.minimum(c, weight, c)
        assert (found.slope < 1e-4).all()
        torch.testing.assert_close(found.mu, objective.minimum(c, weight, c).mu)  # no randomness
        away.append((found.mu - c.double()).norm(dim=1))
    assert (away[1] < away[0]).all()
    assert (away[2] < 0.1 * away[1]).all()


@given(SEEDS, st.floats(0, 2))
def test_the_hessian_of_a_linear_decoder_has_the_closed_form(seed: int, beta: float) -> None:
    objective = make(seed, beta=beta)
    z = torch.randn(N_ROWS, K, generator=torch.Generator().manual_seed(seed)).double()
    found = objective.hessian(z).numpy()
    weight = objective.decoder.out.weight.numpy()
    for row in range(N_ROWS):
        p = torch.softmax(objective.decoder(z[row : row + 1]), 1)[0].numpy()
        curved = float(objective.x[row].sum()) * weight.T @ (np.diag(p) - np.outer(p, p)) @ weight
        expected = curved + float(objective.beta[row]) * np.eye(K)
        np.testing.assert_allclose(found[row], expected, atol=1e-12)
        assert np.linalg.eigvalsh(found[row]).min() >= beta - 1e-6


@pytest.mark.parametrize("units", ["tanh", "gated"])
def test_the_hessian_of_a_deep_decoder_is_that_of_differences(units: Units) -> None:
    objective = make(1, (6, 5), sigma=0.4, n_pairs=2, units=units, loss=BernoulliLoss())
    z = torch.randn(N_ROWS, K, generator=torch.Generator().manual_seed(1)).double()
    found, h = objective.hessian(z), 1e-4
    for i, a in enumerate(h * torch.eye(K, dtype=torch.float64)):
        for j, b in enumerate(h * torch.eye(K, dtype=torch.float64)):
            with torch.no_grad():
                corners = [objective.value(z + s * a + t * b) * s * t
                           for s in (1, -1) for t in (1, -1)]  # fmt: skip
            torch.testing.assert_close(found[:, i, j], sum(corners) / (4 * h * h),
                                       atol=1e-5, rtol=1e-5)  # fmt: skip
    torch.testing.assert_close(found, found.transpose(1, 2), atol=0, rtol=0)


def test_masks_of_the_input_move_the_minimum_and_alignment_draws_it_in() -> None:
    """Proposition 3.2: one user under four masks that leave sigmas of their own. What is left of
    the variance is what the Hessian says, the better the less the objective bends."""
    rng = torch.Generator().manual_seed(2)
    decoder = Decoder(K, (), N_ITEMS, rng)
    x = (torch.rand(1, N_ITEMS, generator=rng) < 0.5).float().expand(4, -1)
    half = torch.randn(4, K, generator=rng)
    objective = LatentObjective(
        decoder, x, 0.2 + 0.3 * torch.rand(4, K, generator=rng), torch.cat([half, -half]),
        torch.ones(4),
    )  # fmt: skip
    free = objective.minimum(torch.zeros(4, K))
    hessian = objective.hessian(free.mu).mean(0).numpy()
    centroid = free.mu.mean(0) + 0.1
    weight = 0.5
    pulled = objective.minimum(torch.zeros(4, K), weight, centroid.expand(4, -1))
    law, centre = Contraction(hessian, weight), centroid.numpy()
    before = mask_variability(free.mu.numpy(), centre)
    after = mask_variability(pulled.mu.numpy(), centre)
    predicted = mask_variability(law.optimum(free.mu.numpy(), centre), centre)
    assert before.trace > 1e-6  # masks do move it
    assert after.trace == pytest.approx(predicted.trace, rel=0.1)
    assert after.drift == pytest.approx(predicted.drift, rel=0.05)


def test_what_is_refused() -> None:
    objective = make(0)
    with pytest.raises(SettingsError, match="centroids"):
        objective.minimum(torch.zeros(N_ROWS, K), 1.0)
    with pytest.raises(SettingsError, match="beta is -1"):
        make(0, beta=-1.0)
    with pytest.raises(DataError, match="3 dimensions to 9 items"):
        LatentObjective(objective.decoder, objective.x[:, :5], objective.sigma, objective.noise,
                        objective.beta)  # fmt: skip
