"""Proposition 3.1 (Eq. 9 = Eq. 10): the closed form of the alignment term."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from nearfar.kernels.rows import Rows
from nearfar.vae.decoder import OutputLayer
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.step import Step
from nearfar.vae.terms.alignment import Alignment, centroid_and_spread
from tests.vae.steps import make_step

N_USERS, N_ITEMS, K = 6, 9, 3


def make(seed: int, k: int = K) -> tuple[np.ndarray, Step, Alignment]:
    rng = np.random.default_rng(seed)
    dense = (rng.random((N_USERS, N_ITEMS)) < 0.4).astype(np.float32)
    dense[0] = 0  # a user whose history is empty
    torch_rng = torch.Generator().manual_seed(seed)
    posterior = DiagonalGaussian(
        torch.randn(N_USERS, k, generator=torch_rng), torch.randn(N_USERS, k, generator=torch_rng)
    )
    term = Alignment(N_ITEMS, k, anchor_std=1.0, rng=torch_rng)
    step = make_step(Rows.from_csr(csr_array(dense)), posterior, OutputLayer(k, N_ITEMS, torch_rng))
    return dense, step, term


@given(st.integers(0, 10_000), st.sampled_from([1, K]))
def test_closed_form_is_the_exact_expectation(seed: int, k: int) -> None:
    """E ||z - e||^2 = ||mu - e||^2 + tr Sigma for every item, averaged over the user's items."""
    dense, step, term = make(seed, k)
    mu, variance = step.posterior.mu, step.posterior.variance
    distance = (mu[:, None] - term.anchors[None]).square().sum(2) + variance.sum(1)[:, None]
    x = torch.from_numpy(dense)
    expected = (x * distance).sum(1) / x.sum(1).clamp(min=1)
    torch.testing.assert_close(term(step), expected)
    assert term(step)[0] == 0


def test_closed_form_is_the_mean_over_samples() -> None:
    dense, step, term = make(1)
    rng = torch.Generator().manual_seed(2)
    total = torch.zeros(N_USERS)
    n_samples = 20_000
    for _ in range(n_samples // 1000):
        noise = torch.randn(1000, N_USERS, K, generator=rng)
        z = step.posterior.mu + step.posterior.variance.sqrt() * noise
        squared = (z[:, :, None] - term.anchors[None, None]).square().sum(3).sum(0)
        total += (torch.from_numpy(dense) * squared).sum(1).detach()
    counts = torch.from_numpy(dense).sum(1).clamp(min=1)
    torch.testing.assert_close(term(step).detach(), total / n_samples / counts, rtol=0.03, atol=0)


@given(st.integers(0, 10_000))
def test_centroid_and_spread_are_their_definitions(seed: int) -> None:
    dense, step, term = make(seed)
    anchors = term.anchors.detach()
    centroid, spread = centroid_and_spread(anchors, step.histories)
    for user in range(1, N_USERS):
        own = anchors[dense[user] > 0]
        if not len(own):
            continue
        torch.testing.assert_close(centroid[user], own.mean(0))
        expected = (own - own.mean(0)).square().sum(1).mean()
        torch.testing.assert_close(spread[user], expected, atol=1e-5, rtol=1e-4)


def test_gradient_pulls_mu_and_anchors_together() -> None:
    _, step, term = make(4)
    mu = step.posterior.mu.clone().requires_grad_()
    moved = replace(step, draw=DiagonalGaussian(mu, step.posterior.logvar).draw(None))
    term(moved).sum().backward()
    centroid, _ = centroid_and_spread(term.anchors.detach(), step.histories)
    assert mu.grad is not None
    torch.testing.assert_close(mu.grad[1:], 2 * (mu.detach() - centroid)[1:])
    assert mu.grad[0].abs().max() == 0
    assert term.anchors.grad is not None
    untouched = np.flatnonzero(step.histories.indices.bincount(minlength=N_ITEMS).numpy() == 0)
    assert term.anchors.grad[untouched].abs().sum() == 0
