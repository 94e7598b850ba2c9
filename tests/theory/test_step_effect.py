"""Steps of SGD: by hand, to first order, and where the theorem promises that they help."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from nearfar.core.errors import SettingsError
from nearfar.theory.gradients import gradient_products
from nearfar.theory.instruments.steps import Steps
from nearfar.theory.losses import MULTINOMIAL, BernoulliLoss
from nearfar.theory.step_effect import discrimination, step_effects
from nearfar.vae.decoder import Decoder
from tests.theory.cases import model, subject


def make() -> tuple[Decoder, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(4)
    x = (torch.rand(5, 9, generator=rng) < 0.5).double()
    x[:, 0] = 1
    return Decoder(3, (4,), 9, rng).double(), torch.randn(5, 2, 3, generator=rng).double(), x


@pytest.mark.parametrize("name", ["plain", "flow", "hvamp"])
def test_theorem_2_3_a_step_on_a_user_s_twin_helps(name: str) -> None:
    """Though the twins' draws are their own."""
    examined = subject(name)
    twins = np.array([3, 7, 3, 7])
    z = examined.latents(twins, 8, "steps")
    assert not torch.equal(z[:2], z[2:])
    x = torch.from_numpy(examined.histories[twins].toarray())
    effects = step_effects(examined.network.decoder, z, x, 0.01, examined.loss)
    assert (effects[[0, 1, 2, 3], [2, 3, 0, 1]] < 0).all()


def test_theorem_2_3_expectations_are_without_bias_where_posteriors_are_wide() -> None:
    """Two draws say on average what many do; with noise that users share they do not."""
    wide = copy.deepcopy(model("plain"))
    with torch.no_grad():
        wide.network.encoder.head.bias[wide.network.n_latent :] += 2
    examined = dataclasses.replace(subject(), model=wide)
    users, decoder = examined.sharing_users, wide.network.decoder
    x = torch.from_numpy(examined.histories[users].toarray())

    def products(z: torch.Tensor) -> np.ndarray:
        return gradient_products(decoder, z, x).numpy()[~np.eye(len(users), dtype=bool)]

    expected = products(examined.latents(users, 400, "many"))
    scale = np.abs(expected).mean()
    few = np.mean([products(examined.latents(users, 2, f"few {i}")) for i in range(60)], 0)
    assert abs((few - expected).mean()) < 0.1 * scale


@pytest.mark.parametrize("loss", [MULTINOMIAL, BernoulliLoss()])
def test_a_step_is_that_of_sgd(loss) -> None:
    decoder, z, x = make()
    found = step_effects(decoder, z, x, 0.02, loss)

    def mean_loss(f: Decoder, user: int) -> torch.Tensor:
        return loss.value(f(z[user]), x[user].expand(2, -1)).mean()

    for v in range(5):
        stepped = copy.deepcopy(decoder)
        own = mean_loss(stepped, v)
        own.backward()
        squared = sum(float(p.grad.square().sum()) for p in stepped.parameters())
        torch.optim.SGD(stepped.parameters(), lr=0.02 * float(own.detach()) / squared).step()
        for u in range(5):
            with torch.no_grad():
                change = mean_loss(stepped, u) - mean_loss(decoder, u)
            assert found[u, v] == pytest.approx(float(change), abs=1e-10)
    assert (found.diagonal() < 0).all()


def test_small_steps_do_what_the_first_order_says() -> None:
    decoder, z, x = make()
    found = step_effects(decoder, z, x, 1e-6)
    products = gradient_products(decoder, z, x).numpy()
    with torch.no_grad():
        own = sum(MULTINOMIAL.value(decoder(z[:, i]), x) for i in (0, 1)).numpy() / 2
    eta = 1e-6 * own / np.diag(products)
    np.testing.assert_allclose(found, -eta * products, rtol=1e-3, atol=1e-9)


def test_discrimination_is_the_area_under_the_curve() -> None:
    helped = np.array([True, True, False, False])
    assert discrimination(np.array([4.0, 3, 2, 1]), helped) == 1
    assert discrimination(np.array([1.0, 2, 3, 4]), helped) == 0
    assert discrimination(np.array([1.0, 1, 1, 1]), helped) == 0.5
    assert discrimination(np.array([4.0, 1, 2, 1]), helped) == 0.625
    assert np.isnan(discrimination(np.zeros(4), np.ones(4, bool)))


def test_theorem_2_3_within_the_radius_every_step_helps() -> None:
    found = Steps().measure(subject())
    assert found.value("within") > 0
    assert found.value("inside") > 0.95
    assert found.value("inside") > found.value("outside")
    assert found.value("related") > found.value("unrelated") + 0.3
    assert found.value("auc") > 0.7
    assert found.value("agrees") > 0.9


def test_what_is_refused() -> None:
    with pytest.raises(SettingsError, match="share is 0"):
        step_effects(*make(), 0.0)
