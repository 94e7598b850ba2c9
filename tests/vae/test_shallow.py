"""The encoder of one layer, and the nodes of training users."""

from dataclasses import replace

import pytest
import torch

from nearfar.core.errors import SettingsError
from nearfar.kernels.rows import Rows
from nearfar.vae.encoders.iaf import IAF
from nearfar.vae.encoders.shallow import Shallow, ShallowNetwork, UserNodes
from tests.vae.networks import N_LATENT, N_USERS, dense_of, generator, histories, network

N_TRAINING = 20
UNITS = {"linear": lambda h: h, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


def with_nodes() -> tuple[ShallowNetwork, torch.Tensor]:
    encoder = network(Shallow("linear")).encoder
    assert isinstance(encoder, ShallowNetwork)
    encoder.users = UserNodes(N_TRAINING, N_LATENT)
    torch.nn.init.normal_(encoder.users.weight, generator=generator(3))
    return encoder, encoder.users.weight


def at(positions: list[int] | None) -> Rows:
    rows = histories()[1]
    return replace(rows, positions=None if positions is None else torch.tensor(positions))


@pytest.mark.parametrize("units", UNITS)
def test_it_is_one_layer(units) -> None:
    vae, rows = network(Shallow(units)), histories()[1]
    history = vae.corruption.clean(rows)
    encoder = vae.encoder
    expected = UNITS[units](dense_of(history) @ encoder.first.weight + encoder.first.bias)
    posterior = vae.encode(rows)
    torch.testing.assert_close(posterior.mu, expected)
    torch.testing.assert_close(encoder.of_dense(dense_of(history)).mu, expected)
    assert (posterior.variance == 0).all()
    assert {name for name, _ in encoder.named_parameters()} == {"first.weight", "first.bias"}


def test_noise_is_refused_and_so_is_a_flow() -> None:
    vae = network(Shallow())
    with pytest.raises(SettingsError, match="no variance"):
        vae.training_step(histories()[1], generator())
    with pytest.raises(SettingsError, match="before is Shallow;"):
        network(IAF(Shallow()))


def test_nodes_are_added_in_training_where_users_are_known() -> None:
    encoder, nodes = with_nodes()
    clean = network(Shallow()).corruption.clean
    known, unknown = clean(at([7, 2, 19, 0, 3, 11])), clean(at(None))
    encoder.eval()
    without = encoder(unknown).mu
    assert torch.equal(encoder(known).mu, without)
    encoder.train()
    assert torch.equal(encoder(unknown).mu, without)
    torch.testing.assert_close(encoder(known).mu, without + nodes[[7, 2, 19, 0, 3, 11]])


def test_only_nodes_of_the_batch_get_a_gradient() -> None:
    encoder, nodes = with_nodes()
    positions = [7, 2, 19, 0, 3, 11]
    weights = torch.randn(N_USERS, N_LATENT, generator=generator(5))
    history = network(Shallow()).corruption.clean(at(positions))
    (encoder.train()(history).mu * weights).sum().backward()
    expected = torch.zeros(N_TRAINING, N_LATENT)
    expected[positions] = weights
    assert torch.equal(nodes.grad, expected)


def test_nodes_start_at_nothing_and_can_be_taken_off() -> None:
    encoder, _ = with_nodes()
    assert UserNodes(N_TRAINING, N_LATENT).weight.abs().max() == 0
    assert "users.weight" in encoder.state_dict()
    encoder.users = None
    assert set(encoder.state_dict()) == {"first.weight", "first.bias"}


@pytest.mark.parametrize(
    ("units", "expected"), [("linear", N_LATENT), ("tanh", N_LATENT), ("sigmoid", 0)]
)
def test_directions_can_be_passed_on_where_units_are_about_linear(units, expected) -> None:
    encoder = network(Shallow(units)).encoder
    assert encoder.n_passed == expected
    directions = torch.ones(encoder.first.weight.shape[0], 2)
    with torch.no_grad():
        encoder.pass_on(directions)
    assert torch.equal(encoder.first.weight[:, :2], directions)
