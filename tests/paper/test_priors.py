"""Priors: special cases equal general ones, estimates equal closed forms, all against PyTorch's."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from nearfar.algorithms.multvae import MultVAE
from nearfar.core.errors import SettingsError
from nearfar.train.optimiser import Optimiser
from nearfar.train.run import Run
from nearfar.vae.corruption.corruption import Clean, Dropout, Mask
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.encoder import Encoder
from nearfar.vae.encoders.hierarchical import Hierarchical
from nearfar.vae.likelihoods.multinomial import reconstruction
from nearfar.vae.network import VAE
from nearfar.vae.objective import Objective, WeightedTerm
from nearfar.vae.priors.composite import Composite
from nearfar.vae.priors.hierarchical import HierarchicalVamp
from nearfar.vae.priors.mixture import Mixture, log_mixture
from nearfar.vae.priors.normal import Normal as StandardNormal
from nearfar.vae.priors.prior import Prior, PriorNetwork
from nearfar.vae.priors.vamp import Vamp
from nearfar.vae.step import Step
from nearfar.vae.terms.kl import KL
from nearfar.vae.weights.constant import ConstantWeight
from tests.vae.networks import (
    ENCODERS,
    N_ITEMS,
    N_LATENT,
    N_USERS,
    PLAIN,
    generator,
    histories,
    network,
    repeated,
)


def build(prior: Prior, seed: int = 0) -> PriorNetwork:
    return prior.build(N_ITEMS, N_LATENT, generator(seed))


def step_of(vae: VAE, seed: int = 1) -> Step:
    return vae.training_step(histories()[1], generator(seed))


def standard(z: torch.Tensor) -> torch.Tensor:
    return Normal(0.0, 1.0).log_prob(z).sum(1)


# N(0, I) in closed form, and as a special case of every other


def means_of_estimates(prior: Prior) -> tuple[torch.Tensor, torch.Tensor]:
    """Of 4,000 one-sample estimates a user: their mean, and its standard error."""
    vae, many = network(Base((7,))), repeated(histories()[0], 4000)
    with torch.no_grad():
        estimates = build(prior).kl(vae.training_step(many, generator(2))).view(N_USERS, -1)
    return estimates.mean(1), estimates.std(1) / estimates.shape[1] ** 0.5


NORMAL_AS = [
    Composite(1.0, 0.0, 0.0),
    Composite(0.0, 0.0, 1.0, wide_logvar=0.0),
    Composite(0.3, 0.0, 0.7, wide_logvar=0.0),
    Mixture(1, spread=0.0),
    Mixture(5, spread=0.0),
]


@pytest.mark.parametrize("prior", NORMAL_AS, ids=str)
def test_a_prior_that_is_the_normal_one_gives_its_kl(prior) -> None:
    step = step_of(network(Base((7,))))
    expected = step.draw.log_density - standard(step.z)
    torch.testing.assert_close(build(prior).kl(step), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(build(StandardNormal()).log_density(step), standard(step.z))
    mean, error = means_of_estimates(prior)
    closed = build(StandardNormal()).kl(step)
    assert ((mean - closed).abs() < 4 * error).all()
    assert error.max() < 0.1


# the composite prior of RecVAE


def composite_step(corruption=None) -> tuple[VAE, PriorNetwork, Step]:
    vae, prior = network(Base((7,)), corruption), build(Composite(0.2, 0.7, 0.1, 3.0))
    prior.renew(vae.encoder)
    return vae, prior, step_of(vae)


def test_composite_is_a_mixture_in_every_dimension() -> None:
    vae, prior, step = composite_step(Dropout(0.5))
    old = vae.encode(step.histories)  # clean, though the step was shown a corrupted history
    zero, wide = torch.zeros_like(old.mu), torch.full_like(old.mu, math.exp(1.5))
    parts = Normal(
        torch.stack([zero, old.mu, zero], -1),
        torch.stack([zero + 1, old.variance.sqrt(), wide], -1),
    )
    weights = Categorical(torch.tensor([0.2, 0.7, 0.1]).expand(N_USERS, N_LATENT, 3))
    expected = MixtureSameFamily(weights, parts).log_prob(step.z).sum(1)
    torch.testing.assert_close(prior.log_density(step), expected)
    torch.testing.assert_close(prior.kl(step), step.draw.log_density - expected)


def test_composite_of_the_old_posterior_alone_is_no_distance_when_nothing_moved() -> None:
    vae, prior = network(Base((7,))), build(Composite(0.0, 1.0, 0.0))
    prior.renew(vae.encoder)
    torch.testing.assert_close(prior.kl(step_of(vae)), torch.zeros(N_USERS), atol=1e-5, rtol=0)


def test_the_old_encoder_stays_until_it_is_renewed() -> None:
    vae, prior, step = composite_step()
    before = prior.log_density(step)
    with torch.no_grad():
        for parameter in vae.encoder.parameters():
            parameter += 0.5
    moved = prior.log_density(step)
    torch.testing.assert_close(before, moved)
    prior.renew(vae.encoder)
    assert (prior.log_density(step) - before).abs().min() > 1e-3
    assert not any(p.requires_grad for p in prior.parameters())


def test_multvae_renews_it_after_every_epoch(clusters, monkeypatch) -> None:
    kind, seen = type(build(Composite())), []
    renew = kind.renew

    def watched(prior, encoder) -> None:
        renew(prior, encoder)
        seen.append(prior.old_encoder.first.bias.clone())

    monkeypatch.setattr(kind, "renew", watched)
    algorithm = MultVAE(n_latent=3, encoder=Base((5,)), prior=Composite(), epochs=3)
    model = algorithm.fit(clusters[0], run=Run(seed=0))
    assert len(seen) == 4  # once before training too
    assert len(torch.stack(seen).unique(dim=0)) == 4
    assert torch.equal(seen[-1], model.network.encoder.first.bias)


def test_shares_must_add_up() -> None:
    with pytest.raises(SettingsError, match="add up to 1"):
        Composite(0.5, 0.5, 0.5)
    with pytest.raises(SettingsError, match="normal is -0"):
        Composite(-0.5, 1.0, 0.5)


# mixtures


@given(st.integers(0, 10_000))
def test_log_mixture_is_pytorchs(seed: int) -> None:
    rng = generator(seed)
    z, mu, logvar = (torch.randn(n, 3, generator=rng) for n in (7, 5, 5))
    log_weights = torch.log_softmax(torch.randn(5, generator=rng), 0)
    mixture = MixtureSameFamily(
        Categorical(logits=log_weights), Independent(Normal(mu, (logvar / 2).exp()), 1)
    )
    torch.testing.assert_close(
        log_mixture(z, mu, logvar, log_weights), mixture.log_prob(z), rtol=1e-4, atol=1e-4
    )


def test_log_mixture_is_exact_enough_in_float32_at_full_size() -> None:
    """Squares that are multiplied out lose digits: with 200 dimensions at sigma = .05, hardly."""
    rng = generator()
    mu = torch.randn(50, 200, generator=rng)
    logvar = torch.full_like(mu, -6.0)
    z = mu + 0.05 * torch.randn(50, 200, generator=rng)
    equal = torch.full((50,), -math.log(50))
    exact = log_mixture(z.double(), mu.double(), logvar.double(), equal.double())
    torch.testing.assert_close(log_mixture(z, mu, logvar, equal).double(), exact, atol=0.1, rtol=0)


def test_mixture_is_the_mixture_of_its_parameters() -> None:
    prior, step = build(Mixture(3, spread=1.0)), step_of(network(Base((7,))))
    named = dict(prior.named_parameters())
    with torch.no_grad():
        named["score"].copy_(torch.tensor([1.0, 0.0, -2.0]))
        named["logvar"].copy_(torch.randn(3, N_LATENT, generator=generator(4)))
    parts = Independent(Normal(named["mu"], (named["logvar"] / 2).exp()), 1)
    expected = MixtureSameFamily(Categorical(logits=named["score"]), parts).log_prob(step.z)
    torch.testing.assert_close(prior.log_density(step), expected)


# the VampPrior


def test_a_vamp_prior_of_the_shown_history_is_no_distance() -> None:
    """One pseudo-input that is the user's raw history, shown raw: the prior is q itself."""
    vae, prior = network(Base((7,)), Mask(1.0)), build(Vamp(1))
    dense = histories()[0]
    step = step_of(vae)
    for user in range(N_USERS):
        with torch.no_grad():
            prior.inputs.copy_(dense[[user]])
        assert prior.kl(step)[user].item() == pytest.approx(0, abs=1e-4)
        assert prior.kl(step).abs().max() > 0.1


def test_vamp_is_the_mixture_of_the_encoder_s_posteriors() -> None:
    """Pseudo-inputs are cut to [0, 1] and not normalised; weights are equal."""
    vae, prior = network(Base((7,)), Clean()), build(Vamp(5, mean=0.3, std=0.7))
    assert (prior.inputs < 0).any()
    assert (prior.inputs > 1).any()
    step = step_of(vae)
    q = vae.encoder.of_dense(prior.inputs.detach().clamp(0, 1))
    parts = Independent(Normal(q.mu, q.variance.sqrt()), 1)
    expected = MixtureSameFamily(Categorical(torch.ones(5)), parts).log_prob(step.z)
    torch.testing.assert_close(prior.log_density(step), expected, rtol=1e-4, atol=1e-4)


def test_priors_of_another_number_of_levels_are_refused() -> None:
    with pytest.raises(SettingsError, match="2 dimensions where the prior needs 4"):
        build(Vamp(3)).kl(step_of(network(Hierarchical(7))))
    with pytest.raises(SettingsError, match="4 dimensions where the prior needs 2"):
        build(HierarchicalVamp(Vamp(3), 7)).kl(step_of(network(Base((7,)))))
    with pytest.raises(SettingsError, match="even number"):
        HierarchicalVamp(Vamp(3), 7).build(N_ITEMS, 5, generator())


# what training does with them

OF_ONE_LEVEL: dict[str, Prior] = {
    "normal": StandardNormal(),
    "composite": Composite(),
    "mixture": Mixture(3),
    "vamp": Vamp(3, mean=0.4, std=0.1),
}
PAIRS: dict[str, tuple[Encoder, Prior]] = {
    f"{e}, {p}": (PLAIN[e], OF_ONE_LEVEL[p]) for e in PLAIN for p in OF_ONE_LEVEL
}
for of_two_levels in ("hierarchical", "hierarchical, tanh"):
    for name in ("normal", "composite", "mixture"):
        PAIRS[f"{of_two_levels}, {name}"] = (ENCODERS[of_two_levels], OF_ONE_LEVEL[name])
    units = ENCODERS[of_two_levels].units
    PAIRS[f"{of_two_levels}, vamp"] = (
        ENCODERS[of_two_levels],
        HierarchicalVamp(OF_ONE_LEVEL["vamp"], 7, units),
    )


def bound(vae: VAE, prior: Prior) -> Objective:
    built = build(prior)
    built.renew(vae.encoder)
    terms = {
        "reconstruction": WeightedTerm(reconstruction, ConstantWeight(1.0)),
        "kl": WeightedTerm(KL(built), ConstantWeight(0.5)),
    }
    return Objective(terms, built)


def loss_of(vae: VAE, objective: Objective, seed: int) -> torch.Tensor:
    return objective(step_of(vae, seed), {"reconstruction": 1.0, "kl": 0.5})[0]


@pytest.mark.parametrize("pair", PAIRS)
def test_gradients_reach_all_that_is_trained_and_nothing_frozen(pair) -> None:
    encoder, prior = PAIRS[pair]
    vae = network(encoder, Dropout(0.7))
    objective = bound(vae, prior)
    loss_of(vae, objective, 1).backward()
    for name, parameter in (*vae.named_parameters(), *objective.named_parameters()):
        if "old_encoder" in name:
            assert not parameter.requires_grad
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("pair", ["base, vamp", "hierarchical, vamp", "dense, iaf, vamp"])
def test_steps_with_a_vamp_prior_are_those_of_plain_adam(pair) -> None:
    """Its gradient reaches items that nobody in the batch has, and is forgotten after the step."""
    encoder, prior = PAIRS[pair]
    vae = network(encoder, Mask(0.5))
    modules = torch.nn.ModuleDict({"vae": vae, "objective": bound(vae, prior)})
    plain = copy.deepcopy(modules)
    plain["objective"].terms["kl"] = WeightedTerm(KL(plain["objective"].prior), ConstantWeight(0.5))
    ours, adam = Optimiser(modules, "adam", 0.01), torch.optim.Adam(plain.parameters(), lr=0.01)
    for number in range(4):
        ours.zero()
        loss_of(modules["vae"], modules["objective"], number).backward()
        ours.step(0.01)
        adam.zero_grad()
        loss_of(plain["vae"], plain["objective"], number).backward()
        adam.step()
    for (name, a), b in zip(modules.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=name)
