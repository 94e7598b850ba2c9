"""Rankings screened in bfloat16 are those of float32."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nearfar.models import autoencoder
from nearfar.models.autoencoder import Architecture, Autoencoder
from nearfar.models.screening import Screen
from nearfar.vae.corruption.corruption import Dropout
from nearfar.vae.encoders.base import Base

N_USERS, N_ITEMS, K = 150, 5000, 10


def model(spread: float) -> Autoencoder:
    """A network whose scores lie apart by `spread`."""
    architecture = Architecture(N_ITEMS, 8, Base((16,)), (16,), Dropout())
    network = architecture.build(torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(spread)
    return Autoencoder(architecture, network, np.arange(N_ITEMS)[::-1], 100)


def histories() -> csr_array:
    x = (np.random.default_rng(1).random((N_USERS, N_ITEMS)) < 0.004).astype(np.float32)
    x[5] = 0
    return csr_array(x)


def rank_both(monkeypatch, model: Autoencoder, **options):
    monkeypatch.setattr(autoencoder, "SCREENED_SCORES", 0)
    results = []
    for screened in (True, False):
        monkeypatch.setattr(autoencoder, "multiplies_bfloat16", lambda on=screened: on)
        results.append(model.top_k(histories(), K, **options))
    return results


@pytest.mark.parametrize("spread", [3.0, 1.0, 1e-3], ids=["apart", "near", "too near to tell"])
@pytest.mark.parametrize("batch_size", [None, 64])
def test_items_and_scores_are_the_plain_ones(monkeypatch, spread: float, batch_size) -> None:
    screened, plain = rank_both(monkeypatch, model(spread), batch_size=batch_size)
    np.testing.assert_allclose(screened.scores, plain.scores, rtol=1e-5, atol=1e-6 * spread)
    different = screened.items != plain.items
    assert different.mean() < 0.001  # places of scores that rounding orders otherwise
    np.testing.assert_array_equal(screened.items[5], np.arange(K))  # an empty history


def test_candidates_are_respected(monkeypatch) -> None:
    allow = np.arange(0, N_ITEMS, 700)
    screened, plain = rank_both(monkeypatch, model(3.0), allow=allow, deny=allow[:2])
    np.testing.assert_array_equal(screened.items, plain.items)
    assert (screened.items == -1).any()
    kept = screened.items[screened.items >= 0]
    assert set(kept.tolist()) <= set(allow[2:].tolist())


def test_no_error_exceeds_its_bound_and_doubt_is_admitted() -> None:
    for spread in (3.0, 1e-3):
        network = model(spread).network
        screen = Screen.of(network.decoder.out)
        hidden = torch.tanh(torch.randn(50, 16, generator=torch.Generator().manual_seed(0)))
        exact = hidden.double() @ screen.layer.weight.detach().double().T
        exact += screen.layer.bias.detach().double()
        rough = hidden.bfloat16().double() @ screen.weight.double().T + screen.bias.double()
        assert ((exact - rough).abs() <= screen.bound(hidden)[:, None]).all()
        memory = torch.empty(50, N_ITEMS, dtype=torch.bfloat16)
        _, _, certain = screen.rank(hidden.detach(), K, 2 * K, lambda scores: None, memory)
        assert certain.any() or spread < 1
    tied = model(1.0)
    with torch.no_grad():
        tied.network.decoder.out.weight.zero_()
        tied.network.decoder.out.bias.zero_()
    _, _, certain = Screen.of(tied.network.decoder.out).rank(
        torch.ones(3, 16), K, 2 * K, lambda scores: None, memory[:3]
    )
    assert not certain.any()


def screen(weight: torch.Tensor, bias: torch.Tensor) -> Screen:
    layer = Architecture(len(weight), 4, Base((4,)), (weight.shape[1],), Dropout()).build(
        torch.Generator().manual_seed(0)
    ).decoder.out  # fmt: skip
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return Screen.of(layer)


def test_the_bound_counts_each_error_that_there_is() -> None:
    """Weights, inputs and biases of which all but one are exact in bfloat16."""
    odd, even = 1 + 2.0**-9, 1.0  # odd is rounded to even, by 2^-9
    one, none = torch.ones(3, 4), torch.zeros(3)
    summing = 4 * 2.0**-23 * 2 * 2  # 4 products; rows of weights and inputs of length 2
    for weight, bias, hidden, other in [
        (even * one, none, even, 0.0),
        (even * one, none, odd, 2 * 2 * 2.0**-9),
        (odd * one, none, even, 2 * 2 * 2.0**-9),
        (even * one, none + odd, even, 2.0**-9),
    ]:
        bound = screen(weight, bias).bound(torch.full((1, 4), hidden))
        assert float(bound) == pytest.approx(other + summing, rel=0.003 if other else 1e-6)
        assert float(bound) >= other + summing * (1 - 1e-6)


@pytest.mark.parametrize(
    ("last", "doubt", "certain"),
    [
        # 10 and 9.875 are each rounded by at most .08: the two could have changed places.
        (9.875, 0.0, False), (9.75, 0.0, True),
        # Each is off by at most the doubt, so they must lie twice as far apart.
        (8.5, 1.0, False), (8.5, 0.5, True),
    ],
)  # fmt: skip
def test_who_may_have_changed_places_is_not_certain(
    last: float, doubt: float, certain: bool
) -> None:
    """Of three items scored 10 and `last`, the best one is asked for and two are kept."""
    made = replace(
        screen(torch.zeros(3, 4), torch.tensor([10.0, last, 0.0])), errors=(0.0, 0.0, doubt)
    )
    memory = torch.empty(1, 3, dtype=torch.bfloat16)
    items, _, found = made.rank(torch.zeros(1, 4), 1, 2, lambda scores: None, memory)
    assert items.tolist() == [[0]]
    assert found.tolist() == [certain]
