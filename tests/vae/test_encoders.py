"""Encoders: sparse against dense, and against plain definitions."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nearfar.core.errors import SettingsError
from nearfar.kernels.sparse import WeightedRows
from nearfar.models.autoencoder import Architecture, Autoencoder
from nearfar.vae.corruption.corruption import Clean, Mask
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.deeper import Deeper
from nearfar.vae.encoders.dense import Dense
from nearfar.vae.encoders.encoder import Encoder, EncoderNetwork
from nearfar.vae.encoders.hierarchical import LOGVAR_BOUNDS, Hierarchical
from nearfar.vae.encoders.iaf import IAF
from tests.vae.networks import (
    ENCODERS,
    N_ITEMS,
    N_LATENT,
    N_USERS,
    dense_of,
    generator,
    histories,
    network,
)


def linear(parameters: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return functional.linear(x, parameters[f"{name}.weight"], parameters[f"{name}.bias"])


def setting(encoder: Encoder) -> tuple[dict[str, Tensor], Tensor, WeightedRows, EncoderNetwork]:
    """Parameters by name, the dense input, and the sparse one with its network."""
    built = network(encoder).encoder
    history = Clean().clean(histories()[1])
    named = {n: p.detach() for n, p in built.named_parameters()}
    for name in ("first.weight", "of_history.weight"):  # stored items first
        if name in named:
            named[name] = named[name].T
    return named, dense_of(history), history, built


@pytest.mark.parametrize("name", ENCODERS)
def test_dense_inputs_give_what_sparse_ones_give(name) -> None:
    """For the hierarchical encoder, q(z2|x): what its VampPrior is made of."""
    built = network(ENCODERS[name]).encoder
    for corruption in (Clean(), Mask()):
        history = corruption.clean(histories()[1])
        sparse, dense = built(history), built.of_dense(dense_of(history))
        upper = slice(sparse.mu.shape[1] - dense.mu.shape[1], None)
        torch.testing.assert_close(sparse.mu[:, upper], dense.mu)
        torch.testing.assert_close(sparse.logvar[:, upper], dense.logvar)


@pytest.mark.parametrize("name", ENCODERS)
def test_scoring_uses_the_latent_without_noise(name) -> None:
    vae, rows = network(ENCODERS[name]), histories()[1]
    draw = vae.encoder.draw(vae.corruption.clean(rows), None)
    assert torch.equal(vae.latents(rows), draw.z)
    torch.testing.assert_close(vae(rows), vae.decoder(draw.z))
    noisy = vae.encoder.draw(vae.corruption.clean(rows), torch.ones(N_USERS, N_LATENT))
    assert (noisy.z - draw.z).abs().min() > 1e-4


@pytest.mark.parametrize("name", ENCODERS)
def test_means_are_latents_where_the_encoder_says_so(name) -> None:
    """What says whether the anchors of PIA lie among the latents that the decoder is given."""
    vae, rows = network(ENCODERS[name]), histories()[1]
    same = torch.equal(vae.encode(rows).mu, vae.latents(rows))
    assert vae.encoder.means_are_latents == same == ("iaf" not in name)


@pytest.mark.parametrize("name", ENCODERS)
def test_the_posterior_of_a_step_is_what_encoding_gives(name) -> None:
    """But for the hierarchical encoder, whose z1 is seen given the z2 that was drawn."""
    vae, rows = network(ENCODERS[name]), histories()[1]
    step = vae.training_step(rows, generator(), corrupt=False)
    encoded, level = vae.encode(rows), slice(None)
    if isinstance(ENCODERS[name], Hierarchical):
        level = slice(N_LATENT // 2, None)
    torch.testing.assert_close(step.posterior.mu[:, level], encoded.mu[:, level])
    torch.testing.assert_close(step.posterior.logvar[:, level], encoded.logvar[:, level])


@pytest.mark.parametrize("name", ENCODERS)
def test_where_the_log_variance_starts_can_be_set(name) -> None:
    built = network(ENCODERS[name]).encoder
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.zero_()
        built.set_log_variance(-2.5)
    posterior = built(Clean().clean(histories()[1]))
    assert (posterior.logvar == -2.5).all()
    assert (posterior.mu == 0).all()


@pytest.mark.parametrize("name", ENCODERS)
def test_a_model_is_rebuilt_from_its_state(name, clusters) -> None:
    train, validation = clusters
    architecture = Architecture(24, N_LATENT, ENCODERS[name], (8,), Clean())
    vae = architecture.build(generator())
    model = Autoencoder(architecture, vae, train.item_counts, train.n_users)
    description, arrays = model.state()
    again = Autoencoder.restore(description, arrays, train.item_counts, train.n_users)
    x = validation.fold_in.x
    assert (model.score(x) == again.score(x)).all()


@pytest.mark.parametrize("units", ["tanh", "gated"])
def test_base_is_its_definition(units) -> None:
    named, x, history, built = setting(Base((7, 5), units))

    def units_of(sums: Tensor) -> Tensor:
        if units == "tanh":
            return torch.tanh(sums)
        content, opening = sums.chunk(2, 1)
        return content * torch.sigmoid(opening)

    h = units_of(linear(named, "first", x))
    h = units_of(linear(named, "middle.0", h))
    mu, logvar = linear(named, "head", h).chunk(2, 1)
    posterior = built(history)
    torch.testing.assert_close(posterior.mu.detach(), mu)
    torch.testing.assert_close(posterior.logvar.detach(), logvar)


def test_deeper_has_two_more_layers() -> None:
    def shapes(encoder) -> list[torch.Size]:
        built = encoder.build(N_ITEMS, N_LATENT, generator())
        return [p.shape for n, p in built.named_parameters() if n.startswith("middle")]

    assert not shapes(Base())
    assert shapes(Deeper()) == [(600, 600), (600,)] * 2


def test_dense_is_its_definition() -> None:
    """The published five layers, written out: sums of earlier layers inside the activation."""
    named, x, history, built = setting(Dense(7, 5))

    def layer(number: int, sums: Tensor) -> Tensor:
        scale, shift = named[f"norms.{number}.weight"], named[f"norms.{number}.bias"]
        active = sums * torch.sigmoid(sums)
        mean = active.mean(1, keepdim=True)
        variance = active.var(1, keepdim=True, correction=0)
        return (active - mean) / torch.sqrt(variance + 0.1) * scale + shift

    h1 = layer(0, linear(named, "first", x))
    h2 = layer(1, linear(named, "middle.0", h1) + h1)
    h3 = layer(2, linear(named, "middle.1", h2) + h1 + h2)
    h4 = layer(3, linear(named, "middle.2", h3) + h1 + h2 + h3)
    h5 = layer(4, linear(named, "middle.3", h4) + h1 + h2 + h3 + h4)
    mu, logvar = linear(named, "head", h5).chunk(2, 1)
    posterior = built(history)
    torch.testing.assert_close(posterior.mu.detach(), mu)
    torch.testing.assert_close(posterior.logvar.detach(), logvar)


def test_dense_layers_start_as_pytorchs_do() -> None:
    """Uniform within 1 / sqrt(inputs), biases too: the bound holds and is nearly reached."""
    built = Dense(40, 3).build(900, 30, generator())
    layers = [(built.first, 900), (built.head, 40), *((m, 40) for m in built.middle)]
    for layer, n_in in layers:
        for parameter, share in ((layer.weight, 0.99), (layer.bias, 0.7)):
            largest = parameter.abs().max() * n_in**0.5
            assert share < largest <= 1
        assert layer.weight.std().item() * n_in**0.5 == pytest.approx(3**-0.5, rel=0.05)


@pytest.mark.parametrize("units", ["tanh", "gated"])
def test_hierarchical_is_its_definition(units) -> None:
    """q(z2|x), then q(z1|x, z2) at the drawn z2; z1 comes first in the latent and in the noise."""
    named, x, history, built = setting(Hierarchical(7, units))
    noise = torch.randn(N_USERS, N_LATENT, generator=generator(3))

    def units_of(sums: Tensor) -> Tensor:
        if units == "tanh":
            return torch.tanh(sums)
        content, opening = sums.chunk(2, 1)
        return content * torch.sigmoid(opening)

    h = units_of(linear(named, "middle", units_of(linear(named, "first", x))))
    mu2, logvar2 = linear(named, "head", h).chunk(2, 1)
    z2 = mu2 + torch.exp(logvar2 / 2) * noise[:, 2:]
    of_x = units_of(linear(named, "of_history", x))
    of_z2 = units_of(linear(named, "of_upper", z2))
    h = units_of(linear(named, "joint", torch.cat([of_x, of_z2], 1)))
    mu1, logvar1 = linear(named, "lower_head", h).chunk(2, 1)
    z1 = mu1 + torch.exp(logvar1 / 2) * noise[:, :2]

    draw = built.draw(history, noise)
    torch.testing.assert_close(draw.posterior.mu.detach(), torch.cat([mu1, mu2], 1))
    torch.testing.assert_close(draw.posterior.logvar.detach(), torch.cat([logvar1, logvar2], 1))
    torch.testing.assert_close(draw.z.detach(), torch.cat([z1, z2], 1))
    assert torch.equal(draw.noise, noise)


def test_log_variances_of_two_levels_are_bounded() -> None:
    built = network(Hierarchical(7)).encoder
    with torch.no_grad():
        built.set_log_variance(1000.0)
        assert (built(Clean().clean(histories()[1])).logvar == LOGVAR_BOUNDS[1]).all()
        built.set_log_variance(-1000.0)
        assert (built(Clean().clean(histories()[1])).logvar == LOGVAR_BOUNDS[0]).all()


def test_settings_that_make_no_encoder_are_refused() -> None:
    with pytest.raises(SettingsError, match="even number"):
        Hierarchical().build(N_ITEMS, 5, generator())
    for before in (Hierarchical(7), IAF(Base((7,)))):
        with pytest.raises(SettingsError, match=f"before is {type(before).__name__}"):
            IAF(before).build(N_ITEMS, N_LATENT, generator())
    for bad in (lambda: Base(()), lambda: Dense(0), lambda: IAF(steps=0), lambda: Hierarchical(0)):
        with pytest.raises(SettingsError):
            bad()
