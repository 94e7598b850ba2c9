"""Rankings screened in bfloat16 are those of float32."""

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
