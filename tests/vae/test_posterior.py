"""The posterior and draws from it, against torch.distributions."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal

from nearfar.vae.posterior import DiagonalGaussian, Draw, log_normal

N_USERS, K = 5, 3


def gaussian(seed: int) -> tuple[DiagonalGaussian, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    mu, logvar, noise = (torch.randn(N_USERS, K, generator=rng) for _ in range(3))
    return DiagonalGaussian(mu.requires_grad_(), logvar.requires_grad_()), noise


@given(st.integers(0, 10_000))
def test_density_of_a_draw_is_torchs(seed: int) -> None:
    q, noise = gaussian(seed)
    draw = q.draw(noise)
    expected = Normal(q.mu, q.variance.sqrt()).log_prob(draw.z)
    torch.testing.assert_close(draw.log_densities, expected)
    torch.testing.assert_close(draw.log_density, expected.sum(1))
    torch.testing.assert_close(log_normal(draw.z, q.mu, q.logvar), expected)


def test_density_without_noise_is_that_at_the_mean() -> None:
    q, _ = gaussian(0)
    draw = q.draw(None)
    assert torch.equal(draw.z, q.mu)
    expected = Normal(q.mu, q.variance.sqrt()).log_prob(q.mu).sum(1)
    torch.testing.assert_close(draw.log_density, expected)


def test_gradient_of_the_density_goes_through_the_draw_too() -> None:
    """log q(z) along z = mu + sigma eps: the noise cancels z - mu, so only logvar is left."""
    q, noise = gaussian(1)
    draw = q.draw(noise)
    direct = torch.autograd.grad(log_normal(draw.z, q.mu, q.logvar).sum(), (q.mu, q.logvar))
    q, noise = gaussian(1)
    short = torch.autograd.grad(
        q.draw(noise).log_density.sum(), (q.mu, q.logvar), materialize_grads=True
    )
    torch.testing.assert_close(direct, short, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(short[1], torch.full((N_USERS, K), -0.5))


def test_a_change_of_volume_is_taken_off() -> None:
    q, noise = gaussian(2)
    log_det = torch.arange(N_USERS).float()
    plain = q.draw(noise)
    flowed = Draw(q, noise, plain.z, log_det)
    torch.testing.assert_close(flowed.log_density, plain.log_density - log_det)


def test_one_gaussian_stands_for_all_users() -> None:
    _, noise = gaussian(3)
    zero = torch.zeros(1, K)
    expected = Normal(0.0, 1.0).log_prob(noise)
    torch.testing.assert_close(log_normal(noise, zero, zero), expected)
