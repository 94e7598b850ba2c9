"""Theorem 2.3: norms of gradients without the gradients, and bounds of their slope."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfar.core.errors import SettingsError
from nearfar.theory.gradients import gradient_norms, gradient_products
from nearfar.theory.lipschitz import lipschitz_bound, lipschitz_estimate
from nearfar.vae.decoder import Decoder
from nearfar.vae.layers import Units

K, N_ITEMS = 3, 11
HIDDEN = st.sampled_from([(), (5,), (6, 4)])


def make(
    seed: int, hidden: tuple[int, ...], units: Units = "tanh", scale: float = 1.0
) -> tuple[Decoder, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    decoder = Decoder(K, hidden, N_ITEMS, rng, units).double()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(scale)
    z = torch.randn(7, K, generator=rng, dtype=torch.float64)
    x = (torch.rand(5, N_ITEMS, generator=rng) < 0.4).double()
    x[:, seed % N_ITEMS] = 1
    return decoder, z, x


def gradient(
    decoder: Decoder, z: torch.Tensor, weights: torch.Tensor, total: torch.Tensor, x: torch.Tensor
) -> torch.Tensor:
    """The oracle: the whole gradient, by plain back-propagation."""
    logits = decoder(z)
    loss = weights @ (total * torch.logsumexp(logits, 1) - logits @ x)
    parts = torch.autograd.grad(loss, list(decoder.parameters()))
    return torch.cat([part.flatten() for part in parts])


@given(st.integers(0, 10_000), HIDDEN, st.sampled_from(["tanh", "gated"]))
def test_norms_are_those_of_the_gradients(seed: int, hidden: tuple[int, ...], units: Units) -> None:
    decoder, z, x = make(seed, hidden, units)
    weights = torch.from_numpy(np.random.default_rng(seed).normal(size=7))
    losses = torch.cat([x, x - x.roll(1, 0)])
    totals = losses.sum(1)
    found = gradient_norms(decoder, z, weights, totals, losses)
    expected = [
        gradient(decoder, z, weights, n, w).norm() for n, w in zip(totals, losses, strict=True)
    ]
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-6, rtol=1e-7)


@given(st.integers(0, 10_000), HIDDEN, st.floats(0.1, 4))
def test_the_estimate_is_a_ratio_found_and_the_bound_is_above_all(
    seed: int, hidden: tuple[int, ...], scale: float
) -> None:
    decoder, z, x = make(seed, hidden, scale=scale)
    estimate = lipschitz_estimate(decoder, z, x, 15, torch.Generator().manual_seed(seed))
    bound = lipschitz_bound(decoder, x.sum(1), float(z.norm(dim=1).max()))
    assert (estimate > 0).all()
    assert (estimate <= bound).all()
    change = torch.tensor([1.0, -1.0], dtype=torch.float64)
    near = torch.stack([z[0], z[0] + 1e-4 * z[1] / z[1].norm()])
    local = gradient_norms(decoder, near, change, x.sum(1), x) / 1e-4
    inside = lipschitz_bound(decoder, x.sum(1), float(z.norm(dim=1).max()) + 1e-4)
    assert (local <= inside).all()


@given(st.integers(0, 10_000), HIDDEN)
@settings(max_examples=10)
def test_the_estimate_is_the_largest_ratio(seed: int, hidden: tuple[int, ...]) -> None:
    """Among three latents, all pairs of which are met."""
    decoder, z, x = make(seed, hidden)
    one = torch.ones(1, dtype=torch.float64)
    found = lipschitz_estimate(decoder, z[:3], x, 40, torch.Generator().manual_seed(seed))
    for user, own in enumerate(x):
        gradients = [gradient(decoder, z[[d]], one, own.sum(), own) for d in range(3)]
        ratios = [
            (gradients[a] - gradients[b]).norm() / (z[a] - z[b]).norm()
            for a, b in ((0, 1), (0, 2), (1, 2))
        ]
        torch.testing.assert_close(found[user], max(ratios), rtol=1e-6, atol=0)


def test_more_pairs_never_lower_the_estimate() -> None:
    decoder, z, x = make(3, (5,))
    few, many = (
        lipschitz_estimate(decoder, z, x, n, torch.Generator().manual_seed(0)) for n in (1, 60)
    )
    assert (many >= few).all()
    assert (many > few).any()


def test_what_is_refused() -> None:
    decoder, z, x = make(1, (4,), "gated")
    with pytest.raises(SettingsError, match="gated"):
        lipschitz_bound(decoder, x.sum(1), 1.0)
    with pytest.raises(SettingsError, match="n_pairs is 0"):
        lipschitz_estimate(decoder, z, x, 0, torch.Generator())


@given(st.integers(0, 10_000), HIDDEN, st.sampled_from(["tanh", "gated"]))
@settings(max_examples=15)
def test_products_are_those_of_the_mean_gradients(
    seed: int, hidden: tuple[int, ...], units: Units
) -> None:
    decoder, _, x = make(seed, hidden, units)
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(5, 3, K, generator=rng, dtype=torch.float64)
    weights = torch.full((3,), 1 / 3, dtype=torch.float64)
    gradients = torch.stack([gradient(decoder, z[u], weights, x[u].sum(), x[u]) for u in range(5)])
    found = gradient_products(decoder, z, x)
    torch.testing.assert_close(found, gradients @ gradients.T, atol=1e-8, rtol=1e-8)


def test_the_bound_counts_the_bend_of_tanh() -> None:
    """Far out, with small output weights, the slope is nearly all tanh'': 7.7 of it."""
    decoder = Decoder(1, (1,), 2, torch.Generator().manual_seed(0)).double()
    far, steepest_at = 1000.0, float(np.arctanh(1 / np.sqrt(3)))
    with torch.no_grad():
        decoder.hidden[0].weight.fill_(1.0)
        decoder.hidden[0].bias.fill_(steepest_at - far)
        decoder.out.weight.copy_(torch.tensor([[0.01], [-0.01]]))
        decoder.out.bias.zero_()
    x = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    z = torch.tensor([[far], [far - 1e-4]], dtype=torch.float64)
    change = torch.tensor([1.0, -1.0], dtype=torch.float64)
    local = float(gradient_norms(decoder, z, change, x.sum(1), x)) / 1e-4
    assert local > 7
    assert local <= float(lipschitz_bound(decoder, x.sum(1), far))
