"""Weights over the course of training: known values."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nearfar.core.errors import SettingsError
from nearfar.kernels.rows import Rows
from nearfar.vae.decoder import OutputLayer
from nearfar.vae.objective import Objective, WeightedTerm
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.weights.constant import ConstantWeight
from nearfar.vae.weights.cosine import Cosine
from nearfar.vae.weights.cyclic import Cyclic
from nearfar.vae.weights.exponential import Exponential
from nearfar.vae.weights.linear_anneal import LinearAnneal
from nearfar.vae.weights.per_interaction import PerInteraction
from nearfar.vae.weights.weight import Progress
from tests.vae.steps import make_step


def test_linear_anneal_by_epochs() -> None:
    """H+Vamp: to .3 over 100 epochs, here of 7 steps."""
    weight = LinearAnneal(end=0.3, steps=5, epochs=100)
    expected = {0: 0.0, 7: 0.003, 350: 0.15, 700: 0.3, 10_000: 0.3}
    for step, value in expected.items():
        assert weight(Progress(step, n_steps=7)) == pytest.approx(value)
    assert LinearAnneal(end=0.3, steps=5)(Progress(2, n_steps=7)) == pytest.approx(0.12)


def test_cyclic_rises_and_stays_again_and_again() -> None:
    """Cycles of 2 epochs of 10 steps: 10 steps from 0 to .2, then 10 at .2."""
    weight = Cyclic(end=0.2, epochs=2, rising=0.5)
    expected = {0: 0.0, 1: 0.02, 5: 0.1, 9: 0.18, 10: 0.2, 19: 0.2, 20: 0.0, 25: 0.1, 39: 0.2}
    for step, value in expected.items():
        assert weight(Progress(step, n_steps=10)) == pytest.approx(value)
    saw = Cyclic(end=1.0, epochs=1, rising=1.0)
    assert [saw(Progress(step, n_steps=4)) for step in range(5)] == [0, 0.25, 0.5, 0.75, 0]


def test_exponential_falls_by_one_factor_a_step() -> None:
    """To .01 over 2 epochs of 10 steps: a tenth is left at the middle of the course."""
    weight = Exponential(epochs=2, end=0.01, warm_up=3)
    values = [weight(Progress(step, n_steps=10)) for step in range(25)]
    assert values[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert values[10] == pytest.approx(0.1)
    assert values[20:] == pytest.approx([0.01] * 5)
    falls = np.diff(np.log(values[3:21]))
    np.testing.assert_allclose(falls, np.log(0.01) / 20, rtol=1e-9)
    # what the docstring says of the other schedule
    cosine = [Cosine(epochs=1, end=0.01)(Progress(step, n_steps=1000)) for step in range(1000)]
    assert np.mean(np.array(cosine) < 0.1) == pytest.approx(0.2, abs=0.01)


def test_cosine_falls_along_half_a_wave() -> None:
    """To .2 over 2 epochs of 10 steps: half way between 1 and .2 at the middle of the course."""
    weight = Cosine(epochs=2, end=0.2, warm_up=3)
    values = [weight(Progress(step, n_steps=10)) for step in range(25)]
    assert values[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert (values[10], values[15]) == pytest.approx((0.6, 0.2 + 0.8 * (1 - 0.5**0.5) / 2))
    assert values[20:] == pytest.approx([0.2] * 5)


def test_a_course_of_no_epochs_of_its_own_takes_all_of_the_training() -> None:
    own, whole = Cosine(epochs=4, end=0.1), Cosine(epochs=0, end=0.1)
    for step in range(50):
        progress = Progress(step, n_steps=10, n_epochs=4)
        assert whole(progress) == own(progress)
    assert whole(Progress(10, n_steps=10, n_epochs=1)) == pytest.approx(0.1)


def test_per_interaction_counts_the_full_history() -> None:
    """RecVAE: KL_u times gamma |x_u|, averaged over users; its reported mean is without it."""
    dense = np.array([[1, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]], np.float32)
    rows = Rows.from_csr(csr_array(dense))
    posterior = DiagonalGaussian(torch.randn(4, 3), torch.randn(4, 3))
    step = make_step(rows, posterior, OutputLayer(3, 4, torch.Generator()))
    values = torch.tensor([2.0, 5.0, 100.0, 3.0])
    objective = Objective(
        {
            "kl": WeightedTerm(lambda step, /: values, PerInteraction(0.01)),
            "other": WeightedTerm(lambda step, /: values, ConstantWeight(2.0)),
        }
    )
    loss, means = objective(step, objective.weights(Progress(step=9)))
    expected = 0.01 * (3 * 2 + 1 * 5 + 0 * 100 + 4 * 3) / 4 + 2.0 * 110 / 4
    assert loss.item() == pytest.approx(expected)
    assert {name: mean.item() for name, mean in means.items()} == {"kl": 27.5, "other": 27.5}


def test_the_history_that_counts_is_not_the_corrupted_one() -> None:
    from nearfar.vae.corruption.corruption import Mask
    from nearfar.vae.encoders.base import Base
    from tests.vae.networks import histories, network

    dense, rows = histories(n_users=60)
    step = network(Base((7,)), Mask(0.3)).training_step(rows, torch.Generator().manual_seed(0))
    assert torch.equal(step.histories.counts.float(), dense.sum(1))
    assert step.shown.rows.counts.sum() < 0.5 * dense.sum()


@pytest.mark.parametrize(
    "bad",
    [
        lambda: PerInteraction(-1.0),
        lambda: Cyclic(rising=0.0),
        lambda: Cyclic(epochs=0),
        lambda: LinearAnneal(epochs=-1),
        lambda: Cosine(end=-0.1),
        lambda: Cosine(end=1.5),
        lambda: Cosine(epochs=-1),
        lambda: Cosine(warm_up=-1),
        lambda: Exponential(end=0.0),
        lambda: Exponential(end=1.5),
        lambda: Exponential(epochs=-1),
        lambda: Exponential(warm_up=-1),
    ],
)
def test_impossible_settings_are_refused(bad) -> None:
    with pytest.raises(SettingsError):
        bad()
