"""Nearest neighbours against scikit-learn, and their overlap."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import SettingsError
from nearfar.vae.neighbours import nearest, overlap

sklearn_neighbors = pytest.importorskip("sklearn.neighbors")


@given(st.integers(0, 1000), st.integers(3, 60), st.integers(1, 6))
def test_they_are_those_of_scikit_learn(seed: int, n_users: int, k: int) -> None:
    k = min(k, n_users - 1)
    mu = torch.randn(n_users, 3, generator=torch.Generator().manual_seed(seed)) + 100
    expected = sklearn_neighbors.NearestNeighbors(n_neighbors=k).fit(mu.double().numpy())
    found = nearest(mu, k).numpy()
    np.testing.assert_array_equal(found, expected.kneighbors(return_distance=False))


def test_more_users_than_a_block() -> None:
    mu = torch.arange(2500.0)[:, None] ** 1.5
    found = nearest(mu, 1)[:, 0]
    torch.testing.assert_close(found[1:], torch.arange(2499))  # gaps grow: the one before
    assert found[0] == 1


def test_overlap_counts_whoever_stays_in_any_order() -> None:
    before = torch.tensor([[1, 2, 3], [4, 5, 6]])
    after = torch.tensor([[3, 9, 1], [0, 1, 2]])
    torch.testing.assert_close(overlap(before, after), torch.tensor([2 / 3, 0]).double())
    torch.testing.assert_close(overlap(before, before), torch.ones(2).double())


def test_what_is_refused() -> None:
    with pytest.raises(SettingsError, match="between 1 and 4"):
        nearest(torch.zeros(5, 2), 5)
