"""The Gaussian likelihood: weighted squares, by their definition."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import SettingsError
from nearfar.vae.likelihoods.gaussian import Gaussian
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from tests.paper.test_warp import N_ITEMS, histories, random_scores, step_of

CATALOGUE = TrainingCounts(np.ones(N_ITEMS, np.int64), 5)


@given(st.integers(0, 10_000), st.sampled_from([0.01, 0.3, 1.0, 2.0]))
def test_loss_and_gradient_are_their_definitions(seed: int, weight: float) -> None:
    x, scores = histories(seed), random_scores(seed)
    target = torch.from_numpy(x).double()
    weights = torch.where(target > 0, 1.0, weight)
    plain, term = scores.clone().requires_grad_(), Gaussian(weight).term(CATALOGUE)
    expected = (weights * (target - plain).square() / 2).sum(1)
    scores.requires_grad_()
    got = term(step_of(scores, x))
    torch.testing.assert_close(got, expected)
    got.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(scores.grad, plain.grad)


def test_it_is_the_gaussian_density_up_to_a_constant() -> None:
    x, weight = histories(1), 0.3
    target = torch.from_numpy(x).double()
    deviations = torch.where(target > 0, 1.0, weight).rsqrt()
    differences = []
    for seed in (2, 3):
        scores = random_scores(seed)
        density = torch.distributions.Normal(scores, deviations).log_prob(target).sum(1)
        differences.append(Gaussian(weight).term(CATALOGUE)(step_of(scores, x)) + density)
    torch.testing.assert_close(*differences)


def test_a_weight_of_nothing_is_refused() -> None:
    with pytest.raises(SettingsError, match="negative_weight"):
        Gaussian(0.0)
