"""H+Vamp: two levels, a VampPrior, gates, the Bernoulli likelihood, against torch.distributions."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.nn import functional

from nearfar.algorithms.hvamp import HVamp
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.network import VAE
from nearfar.vae.objective import Objective
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.priors.hierarchical import HierarchicalVamp
from nearfar.vae.priors.vamp import Vamp
from nearfar.vae.weights.weight import Progress
from tests.vae.networks import N_ITEMS, N_USERS, generator, histories

LEVEL = 2
ALGORITHM = HVamp(n_latent=LEVEL, hidden=5, pseudo_inputs=3)


def make() -> tuple[VAE, Objective]:
    network = ALGORITHM.architecture(N_ITEMS).build(generator())
    catalogue = TrainingCounts(np.ones(N_ITEMS, np.int64), N_USERS)
    objective = ALGORITHM.objective(catalogue, 0)
    rng = generator(1)
    with torch.no_grad():
        for parameter in (*network.parameters(), *objective.parameters()):
            parameter += 0.3 * torch.randn(parameter.shape, generator=rng)
    return network, objective


def split(q: DiagonalGaussian) -> tuple[Normal, Normal]:
    """The Gaussians of z1 and z2."""
    mu, sigma = q.mu.chunk(2, 1), q.variance.sqrt().chunk(2, 1)
    return Normal(mu[0], sigma[0]), Normal(mu[1], sigma[1])


def gated(layer: torch.nn.Module, x: Tensor) -> Tensor:
    content, opening = functional.linear(x, layer.weight, layer.bias).chunk(2, 1)
    return content * torch.sigmoid(opening)


def log_prior(network: VAE, objective: Objective, z: Tensor) -> Tensor:
    """log p(z2) + log p(z1|z2), written out."""
    z1, z2 = z[:, :LEVEL], z[:, LEVEL:]
    prior = objective.prior
    q = network.encoder.of_dense(prior.upper.inputs.clamp(0, 1))
    parts = Independent(Normal(q.mu, q.variance.sqrt()), 1)
    upper = MixtureSameFamily(Categorical(torch.ones(len(q.mu))), parts).log_prob(z2)
    h = gated(prior.second, gated(prior.first, z2))
    mu, logvar = functional.linear(h, prior.head.weight, prior.head.bias).chunk(2, 1)
    return upper + Normal(mu, (logvar / 2).exp()).log_prob(z1).sum(1)


def test_density_of_a_draw_is_that_of_its_two_levels() -> None:
    network, _ = make()
    step = network.training_step(histories()[1], generator(2))
    lower, upper = split(step.posterior)
    z1, z2 = step.z.chunk(2, 1)
    # what the encoder says of each level by itself
    q2 = network.encoder.gaussian(network.encoder.features(network.encoder.first(step.shown)))
    q1 = network.encoder.lower(step.shown, z2)
    torch.testing.assert_close(upper.loc, q2.mu)
    torch.testing.assert_close(lower.loc, q1.mu)
    expected = lower.log_prob(z1).sum(1) + upper.log_prob(z2).sum(1)
    torch.testing.assert_close(step.draw.log_density, expected)


def test_the_first_half_of_the_latent_is_drawn_given_the_second() -> None:
    network, _ = make()
    shown = network.corruption.clean(histories()[1])
    noise = torch.randn(N_USERS, 2 * LEVEL, generator=generator(3))
    draw = network.encoder.draw(shown, noise)

    def moved(columns: slice):
        other = noise.clone()
        other[:, columns] += 1
        return network.encoder.draw(shown, other)

    below, above = moved(slice(LEVEL)), moved(slice(LEVEL, None))
    assert torch.equal(below.posterior.mu, draw.posterior.mu)
    assert torch.equal(below.z[:, LEVEL:], draw.z[:, LEVEL:])
    assert torch.equal(above.posterior.mu[:, LEVEL:], draw.posterior.mu[:, LEVEL:])
    assert (above.posterior.mu - draw.posterior.mu)[:, :LEVEL].abs().max() > 1e-3


def test_prior_is_the_product_of_its_levels_in_the_encoder_s_order() -> None:
    network, objective = make()
    step = network.training_step(histories()[1], generator(2))
    expected = log_prior(network, objective, step.z)
    assert objective.prior is not None
    torch.testing.assert_close(objective.prior.log_density(step), expected, rtol=1e-4, atol=1e-4)
    turned = torch.cat([step.z[:, LEVEL:], step.z[:, :LEVEL]], 1)
    assert (log_prior(network, objective, turned) - expected).abs().min() > 1e-2


def test_loss_is_the_published_one() -> None:
    """Bernoulli likelihood; beta times one sample of the KL, half way through the warm-up."""
    network, objective = make()
    dense, rows = histories()
    step = network.training_step(rows, generator(2))
    h = step.z
    for layer in network.decoder.hidden:
        h = gated(layer, h)
    logits = functional.linear(h, network.decoder.out.weight, network.decoder.out.bias)
    nll = functional.binary_cross_entropy_with_logits(logits, dense, reduction="none").sum(1)
    kl = step.draw.log_density - log_prior(network, objective, step.z)
    loss, _ = objective(step, objective.weights(Progress(step=350, epoch=50, n_steps=7)))
    torch.testing.assert_close(loss, (nll + 0.15 * kl).mean(), rtol=1e-4, atol=1e-4)


def test_widths_are_the_published_ones() -> None:
    """Gated layers have twice as many sums as units."""
    network = HVamp().architecture(50).build(generator())
    prior = HierarchicalVamp(Vamp(1000), 600, "gated").build(50, 400, generator())
    shapes = {
        name: tuple(parameter.shape)
        for name, parameter in (*network.named_parameters(), *prior.named_parameters())
        if parameter.ndim == 2
    }
    assert shapes == {
        "encoder.first.weight": (50, 1200),
        "encoder.middle.weight": (1200, 600),
        "encoder.head.weight": (400, 600),
        "encoder.of_history.weight": (50, 1200),
        "encoder.of_upper.weight": (1200, 200),
        "encoder.joint.weight": (1200, 1200),
        "encoder.lower_head.weight": (400, 600),
        "decoder.hidden.0.weight": (2400, 400),
        "decoder.hidden.1.weight": (1200, 1200),
        "decoder.out.weight": (50, 600),
        "upper.inputs": (1000, 50),
        "first.weight": (1200, 200),
        "second.weight": (1200, 600),
        "head.weight": (400, 600),
    }
    inputs = prior.upper.inputs
    assert inputs.mean().item() == pytest.approx(0.05, abs=1e-3)
    assert inputs.std().item() == pytest.approx(0.01, rel=0.05)
