"""Eq. 11-13: the inverse autoregressive flow, its volume, its density, its identity."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nearfar.vae.corruption.corruption import Clean
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.iaf import IAF, AutoregressiveStep
from nearfar.vae.posterior import DiagonalGaussian, log_normal
from nearfar.vae.priors.mixture import Mixture
from nearfar.vae.priors.normal import Normal
from nearfar.vae.terms.kl import KL
from tests.vae.networks import (
    N_ITEMS,
    N_LATENT,
    N_USERS,
    generator,
    histories,
    network,
    repeated,
)

N_CONTEXT = 3


def flow_step(seed: int, n_latent: int, n_hidden: int = 12) -> AutoregressiveStep:
    """With weights large enough for a flow that is far from the identity."""
    rng = generator(seed)
    step = AutoregressiveStep(n_latent, n_hidden, N_CONTEXT, rng)
    with torch.no_grad():
        for parameter in step.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng))
    return step


def identity(steps: int, seed: int = 0) -> tuple[torch.nn.Module, torch.nn.Module]:
    """A network with a base encoder, and the same one with a flow of identity steps behind it."""
    base = network(Base((7,)), seed=seed)
    flowed = network(IAF(Base((7,)), steps, 10), seed=seed)
    flowed.encoder.before.load_state_dict(base.encoder.state_dict())
    flowed.decoder.load_state_dict(base.decoder.state_dict())
    with torch.no_grad():
        for step in flowed.encoder.steps:
            step.out.weight.zero_()
            step.out.bias[:N_LATENT] = 0
            step.out.bias[N_LATENT:] = 100  # gates wide open
    return base, flowed


@given(st.integers(0, 10_000), st.integers(1, 5), st.sampled_from([1, 3, 12]))
@settings(max_examples=15)
def test_jacobian_is_triangular_and_its_volume_is_told(seed, n_latent, n_hidden) -> None:
    step = flow_step(seed, n_latent, n_hidden)
    rng = generator(seed + 1)
    z = torch.randn(1, n_latent, generator=rng)
    context = torch.randn(1, N_CONTEXT, generator=rng)
    _, log_det = step(z, context)
    jacobian = torch.autograd.functional.jacobian(lambda z: step(z[None], context)[0][0], z[0])
    assert (torch.triu(jacobian, 1) == 0).all()
    assert (torch.diagonal(jacobian) > 0).all()
    expected = torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(log_det[0].detach(), expected, atol=1e-4, rtol=1e-4)


def test_each_latent_depends_on_all_before_it_and_on_the_context() -> None:
    step = flow_step(0, 4)
    z, context = torch.randn(1, 4), torch.randn(1, N_CONTEXT)
    of_z = torch.autograd.functional.jacobian(lambda z: step(z[None], context)[0][0], z[0])
    assert (torch.tril(of_z).abs() > 0).sum() == 10
    of_context = torch.autograd.functional.jacobian(lambda c: step(z, c[None])[0][0], context[0])
    assert (of_context.abs() > 0).all()


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_volume_of_a_whole_flow(steps) -> None:
    encoder = network(IAF(Base((7,)), steps, 10)).encoder
    history = Clean().clean(histories()[1])
    noise = torch.randn(N_USERS, N_LATENT, generator=generator(1))
    draw = encoder.draw(history, noise)

    def from_z0(z0: Tensor) -> Tensor:
        q = draw.posterior
        return encoder.draw(history, (z0 - q.mu) / q.variance.sqrt()).z

    z0 = draw.posterior.sample(noise).detach()
    jacobian = torch.autograd.functional.jacobian(lambda z0: from_z0(z0).sum(0), z0)
    by_user = jacobian.permute(1, 0, 2)  # users, out, in
    expected = torch.linalg.slogdet(by_user).logabsdet
    assert draw.log_det is not None
    torch.testing.assert_close(draw.log_det.detach(), expected, atol=1e-4, rtol=1e-4)
    q = draw.posterior
    own = log_normal(z0, q.mu, q.logvar).sum(1)
    torch.testing.assert_close(draw.log_density, own - expected, atol=1e-4, rtol=1e-4)


def inverse(step: AutoregressiveStep, z: Tensor, context: Tensor) -> Tensor:
    """Latent by latent: what comes out of latent d tells it once those before it are known."""
    z0 = torch.zeros_like(z)
    for d in range(z.shape[1]):
        at_zero = step(z0, context)[0][:, d]  # (1 - s) m
        unit = torch.zeros_like(z0)
        unit[:, d] = 1
        slope = step(z0 + unit, context)[0][:, d] - at_zero
        z0[:, d] = (z[:, d] - at_zero) / slope
    return z0


@torch.no_grad()
def test_density_of_a_flow_integrates_to_one() -> None:
    """Over a grid in the space of z_T, by the inverse of two steps, the second one backwards."""
    steps = [flow_step(seed, 2).double() for seed in (3, 4)]
    for step in steps:
        step.out.bias[2:] += 2
    side = torch.linspace(-12, 12, 481, dtype=torch.float64)
    z = torch.cartesian_prod(side, side)
    context = torch.full((len(z), N_CONTEXT), 0.3, dtype=torch.float64)
    between = inverse(steps[1], z.flip(1), context).flip(1)
    z0 = inverse(steps[0], between, context)
    again, log_det = steps[0](z0, context)
    torch.testing.assert_close(again, between, atol=1e-6, rtol=1e-6)
    log_det = log_det + steps[1](between.flip(1), context)[1]
    zero = torch.zeros(1, 2, dtype=torch.float64)
    log_density = log_normal(z0, zero, zero).sum(1) - log_det
    total = log_density.exp().sum() * (side[1] - side[0]) ** 2
    assert total.item() == pytest.approx(1, abs=2e-3)
    assert log_det.std() > 0.1  # the flow does change volumes


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_identity_steps_are_the_base_encoder(steps) -> None:
    base, flowed = identity(steps)
    rows = histories()[1]
    torch.testing.assert_close(flowed(rows), base(rows), rtol=0, atol=1e-6)
    plain = base.training_step(rows, generator(5))
    through = flowed.training_step(rows, generator(5))
    torch.testing.assert_close(through.z, plain.z, rtol=0, atol=1e-6)
    torch.testing.assert_close(through.logits, plain.logits, rtol=0, atol=1e-5)
    torch.testing.assert_close(through.draw.log_density, plain.draw.log_density)
    sampled = Mixture(3).build(N_ITEMS, N_LATENT, generator())
    torch.testing.assert_close(KL(sampled)(through), KL(sampled)(plain))


def test_identity_steps_keep_the_kl_in_expectation() -> None:
    """Behind a flow the KL to N(0, I) is estimated; its mean is the closed form of the base."""
    base, flowed = identity(2)
    rows, many = histories()[1], repeated(histories()[0], 3000)
    normal = KL(Normal().build(N_ITEMS, N_LATENT, generator()))
    with torch.no_grad():
        closed = normal(base.training_step(rows, generator()))
        estimates = normal(flowed.training_step(many, generator(6))).view(N_USERS, -1)
    error = estimates.std(1) / estimates.shape[1] ** 0.5
    assert ((estimates.mean(1) - closed).abs() < 4 * error).all()
    assert error.max() < 0.1


def test_a_step_starts_near_the_identity() -> None:
    rng = generator()
    step = AutoregressiveStep(20, 40, N_CONTEXT, rng)
    z = torch.randn(500, 20, generator=rng)
    moved, _ = step(z, torch.randn(500, N_CONTEXT, generator=rng))
    assert np.corrcoef(z.flatten(), moved.detach().flatten())[0, 1] > 0.95


def test_mean_goes_through_the_flow_when_there_is_no_noise() -> None:
    encoder = network(IAF(Base((7,)), 2, 10)).encoder
    history = Clean().clean(histories()[1])
    q = encoder(history)
    assert isinstance(q, DiagonalGaussian)
    draw = encoder.draw(history, None)
    context = encoder.features(encoder.first(history))
    z, _ = encoder.steps[0](q.mu, context)
    z, _ = encoder.steps[1](z.flip(1), context)
    torch.testing.assert_close(draw.z, z.flip(1))
