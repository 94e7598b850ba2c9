"""Theorem 2.3, proven by doing it: the step on v is taken, and u's true loss measured."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from nearfar.core.errors import DataError
from nearfar.theory.lipschitz import lipschitz_bound
from nearfar.theory.sharing import SharingGraph, mean_gradients, sharing_graph
from nearfar.theory.transport import empirical_w1
from nearfar.vae.decoder import Decoder
from nearfar.vae.posterior import DiagonalGaussian
from tests.theory.distances import pairwise_mean_distance, pairwise_w2

K, N_ITEMS, N_USERS, DRAWS = 2, 8, 8, 6
HIDDEN = st.sampled_from([(), (5,), (4, 3)])


def make(seed: int, hidden: tuple[int, ...]) -> tuple[Decoder, torch.Tensor, torch.Tensor]:
    """Two tastes, whose users differ by little: some pairs must be within radius."""
    rng = torch.Generator().manual_seed(seed)
    decoder = Decoder(K, hidden, N_ITEMS, rng).double()
    taste = torch.arange(N_USERS) % 2
    x = torch.zeros(N_USERS, N_ITEMS, dtype=torch.float64)
    for user in range(N_USERS):
        x[user, 4 * taste[user] : 4 * taste[user] + 4] = 1
    x[5, 0] = 1
    x[6, 3] = 0
    mu = torch.stack([1.0 - 2 * taste, torch.zeros(N_USERS)], 1).double()
    mu += 1e-3 * torch.randn(N_USERS, K, generator=rng, dtype=torch.float64)
    noise = torch.randn(N_USERS, DRAWS, K, generator=rng, dtype=torch.float64)
    return decoder, mu[:, None] + 1e-3 * noise, x


def loss(decoder: Decoder, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return -(torch.log_softmax(decoder(z), 1) * x).sum(1).mean()


def gradient(decoder: Decoder, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The whole mean gradient, by plain back-propagation."""
    parts = torch.autograd.grad(loss(decoder, z, x), list(decoder.parameters()))
    return torch.cat([part.flatten() for part in parts])


def changes(decoder: Decoder, z: torch.Tensor, x: torch.Tensor, eta: float) -> np.ndarray:
    """What one SGD step on v, in a copy of the decoder, does to the loss of every u: [u, v]."""
    found = np.empty((N_USERS, N_USERS))
    before = [loss(decoder, z[u], x[u]).item() for u in range(N_USERS)]
    for v in range(N_USERS):
        stepped = copy.deepcopy(decoder)
        optimiser = torch.optim.SGD(stepped.parameters(), lr=eta)
        loss(stepped, z[v], x[v]).backward()
        optimiser.step()
        for u in range(N_USERS):
            found[u, v] = loss(stepped, z[u], x[u]).item() - before[u]
    return found


def graph_of(decoder: Decoder, z: torch.Tensor, x: torch.Tensor) -> SharingGraph:
    """The theorem's objects for the empirical posteriors, all exact, and L an upper bound."""
    norm, mismatch = mean_gradients(decoder, z, x)
    w1 = np.array([[empirical_w1(a.numpy(), b.numpy()) for b in z] for a in z])
    bound = lipschitz_bound(decoder, x.sum(1), float(z.norm(dim=2).max()))
    return SharingGraph(norm.numpy(), mismatch.numpy(), bound.numpy(), w1, w1)


@given(st.integers(0, 10_000), HIDDEN)
@settings(max_examples=8)
def test_theorem_2_3_the_step_helps_as_much_as_promised(seed: int, hidden: tuple[int, ...]) -> None:
    decoder, z, x = make(seed, hidden)
    graph = graph_of(decoder, z, x)
    # -||g_v|| (||g_v|| - Delta_uv - L W1) in nats per unit of step size
    margin = graph.gradient_norm - graph.mismatch - graph.lipschitz[:, None] * graph.most_distance
    bound = -graph.gradient_norm * margin
    eta = 1e-4
    once, half = (changes(decoder, z, x, e) for e in (eta, eta / 2))
    gradients = torch.stack([gradient(decoder, z[u], x[u]) for u in range(N_USERS)])
    first = -(gradients @ gradients.T).numpy()
    excess, half_excess = once - eta * first, half - eta / 2 * first
    told = np.abs(excess) > 0.01 * np.abs(excess).max()
    np.testing.assert_allclose(excess[told] / half_excess[told], 4, rtol=0.02)
    assert (first <= bound + 1e-6).all()
    assert (once <= eta * bound + np.abs(excess) + 1e-12).all()
    within = graph.surely_within
    assert within.sum() >= 4, "else nothing is tested"
    assert not within.all()
    assert (bound[within] < 0).all()
    assert (first[within] < 0).all()
    assert (once[within] < 0).all()


@given(st.integers(0, 10_000), HIDDEN)
@settings(max_examples=8)
def test_mean_gradients_are_those_of_back_propagation(seed: int, hidden: tuple[int, ...]) -> None:
    decoder, z, x = make(seed, hidden)
    norm, mismatch = mean_gradients(decoder, z, x)

    for v in range(N_USERS):
        own = gradient(decoder, z[v], x[v])
        torch.testing.assert_close(norm[v], own.norm())
        for u in range(N_USERS):
            expected = (gradient(decoder, z[v], x[u]) - own).norm()
            torch.testing.assert_close(mismatch[u, v], expected, atol=1e-6, rtol=1e-6)


def sample(sigma: float = 1e-3) -> tuple[Decoder, DiagonalGaussian, csr_array]:
    decoder, z, x = make(1, (5,))
    mu = z.mean(1).float()
    logvar = torch.full_like(mu, 2 * float(np.log(sigma)))
    return decoder.float(), DiagonalGaussian(mu, logvar), csr_array(x.float().numpy())


def measured(n_draws: int = 4, lipschitz: torch.Tensor | None = None) -> SharingGraph:
    return graph_of_sample(*sample(), n_draws=n_draws, lipschitz=lipschitz)


def graph_of_sample(
    decoder: Decoder,
    q: DiagonalGaussian,
    histories: csr_array,
    n_draws: int = 4,
    lipschitz: torch.Tensor | None = None,
) -> SharingGraph:
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn((len(q.mu), n_draws, q.mu.shape[1]), generator=rng)
    z = q.mu[:, None] + q.variance.sqrt()[:, None] * noise
    return sharing_graph(
        decoder, z, histories, least_distance=pairwise_mean_distance(q),
        most_distance=pairwise_w2(q), rng=rng, lipschitz=lipschitz,
    )  # fmt: skip


def test_the_graph_of_a_sample() -> None:
    graph = measured()
    assert (graph.least_distance <= graph.most_distance + 1e-9).all()
    assert not (graph.surely_within & ~graph.maybe_within).any()
    assert not graph.maybe_within.diagonal().any()
    same_taste = np.add.outer(np.arange(N_USERS), np.arange(N_USERS)) % 2 == 0
    assert graph.surely_within[same_taste & ~np.eye(N_USERS, dtype=bool)].all()
    assert not graph.maybe_within[~same_taste].any()
    np.testing.assert_array_equal(graph.radius, measured().radius)


def test_an_estimated_radius_is_an_upper_bound() -> None:
    decoder, _, histories = sample()
    counts = torch.from_numpy(np.diff(histories.indptr)).float()
    safe = measured(lipschitz=lipschitz_bound(decoder, counts, 2.0))
    estimated = measured()
    positive = safe.radius > 0
    assert positive.any()
    assert (estimated.radius[positive] > safe.radius[positive]).all()


def test_where_latents_do_not_matter_content_alone_decides() -> None:
    graph = measured(lipschitz=torch.zeros(N_USERS))
    margin = graph.gradient_norm - graph.mismatch
    np.testing.assert_array_equal(graph.radius, np.where(margin > 0, np.inf, -np.inf))
    assert (margin > 0).any()
    assert (margin < 0).any()


def test_posteriors_encoded_for_inference_will_do() -> None:
    decoder, posterior, histories = sample()
    with torch.inference_mode():
        posterior = DiagonalGaussian(posterior.mu.clone(), posterior.logvar.clone())
    graph = graph_of_sample(decoder, posterior, histories)
    assert np.isfinite(graph.radius).all()


def test_what_is_refused() -> None:
    decoder, posterior, histories = sample()
    with pytest.raises(DataError, match="same users"):
        graph_of_sample(decoder, posterior, histories[:3])
