"""Hidden layers against their formulas."""

import pytest
import torch

from nearfar.vae.layers import Gated, Tanh, activate, gate, hidden_layer, passable, widened
from tests.vae.networks import generator


def test_tanh_is_its_formula() -> None:
    layer = hidden_layer("tanh", 5, 3, generator())
    x = torch.randn(4, 5, generator=generator(1))
    assert isinstance(layer, Tanh)
    torch.testing.assert_close(layer(x), torch.tanh(x @ layer.weight.T + layer.bias))


def test_gated_is_its_formula() -> None:
    layer = hidden_layer("gated", 5, 3, generator())
    x = torch.randn(4, 5, generator=generator(1))
    assert isinstance(layer, Gated)
    w, v = layer.weight[:3], layer.weight[3:]
    b, c = layer.bias[:3], layer.bias[3:]
    torch.testing.assert_close(layer(x), (x @ w.T + b) * torch.sigmoid(x @ v.T + c))


def test_open_and_closed_gates() -> None:
    content = torch.tensor([[-3.0, 0.5]])
    torch.testing.assert_close(gate(torch.cat([content, content * 0 + 100], 1)), content)
    assert gate(torch.cat([content, content * 0 - 200], 1)).abs().max() == 0


@pytest.mark.parametrize("units", ["tanh", "gated"])
def test_units_of_given_sums_are_those_of_a_layer(units) -> None:
    layer = hidden_layer(units, 5, 3, generator())
    x = torch.randn(4, 5, generator=generator(1))
    sums = torch.nn.functional.linear(x, layer.weight, layer.bias)
    assert sums.shape == (4, widened(units, 3))
    torch.testing.assert_close(activate(units, sums), layer(x))


def test_fresh_layers_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    for units in ("tanh", "gated"):
        hidden_layer(units, 5, 3, generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_only_tanh_layers_pass_on() -> None:
    tanh, gated = (hidden_layer(units, 4, 4, generator()) for units in ("tanh", "gated"))
    layers = torch.nn.ModuleList([tanh, hidden_layer("tanh", 4, 4, generator(1))])
    assert passable(layers) == list(layers)
    assert passable(torch.nn.ModuleList([tanh, gated])) is None
