"""Far but related: by its definition, and beside the shares of near users."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import DataError, SettingsError
from nearfar.theory.collaboration import collaboration
from nearfar.theory.far_but_related import far_but_related, nearness


@given(st.integers(0, 10_000), st.integers(3, 15), st.floats(0.05, 0.9), st.booleans())
def test_near_users_are_those_of_local_help(seed: int, n: int, share: float, ties: bool) -> None:
    """Weighing help by nearness is what `collaboration` does by sorting, equal ones too."""
    rng = np.random.default_rng(seed)
    distance = rng.integers(0, 4, (n, n)).astype(float) if ties else rng.random((n, n))
    products = rng.normal(size=(n, n))
    near = nearness(distance, share)
    np.testing.assert_allclose(near.sum(1), share * (n - 1))
    assert (np.diag(near) == 0).all()
    helps = np.maximum(products, 0)
    np.fill_diagonal(helps, 0)
    with np.errstate(invalid="ignore"):
        local = (helps * near).sum(1) / helps.sum(1)
    np.testing.assert_allclose(local, collaboration(products, distance, share).local, atol=1e-12)


def test_the_far_but_related_are_told_from_the_near_and_from_strangers() -> None:
    """Of ten others: v1 near and alike, v2 far and alike, v3 near and unlike, the rest neither."""
    n = 11
    distance, unlikeness = np.full((n, n), 9.0), np.full((n, n), 9.0)
    distance[0, [1, 3]] = 1
    unlikeness[0, [1, 2]] = 1
    products = np.full((n, n), -1.0)
    products[0, :5] = (50, 4, 3, 2, 1)  # 50 is the user's own
    found = far_but_related(products, distance, unlikeness, 0.2)
    assert found.help_share[0] == pytest.approx(3 / 10)
    assert found.user_share[0] == pytest.approx(0.1)
    assert np.isnan(found.help_share[1:]).all()


def test_where_both_distances_are_one_nobody_is_far_but_related() -> None:
    rng = np.random.default_rng(0)
    distance = rng.random((20, 20))
    found = far_but_related(rng.normal(size=(20, 20)), distance, 3 * distance, 0.25)
    whole = int(0.25 * 19)  # the last near one is near in part, so far in part
    assert (found.user_share <= 0.25 / 19 * (19 - whole)).all()
    whole_users = far_but_related(rng.normal(size=(21, 21)), d := rng.random((21, 21)), d, 0.25)
    np.testing.assert_allclose(whole_users.help_share, 0)
    np.testing.assert_allclose(whole_users.user_share, 0)


def test_what_is_refused() -> None:
    with pytest.raises(DataError, match="three users"):
        nearness(np.ones((2, 2)), 0.1)
    with pytest.raises(SettingsError, match="near_share"):
        nearness(np.ones((4, 4)), 1.0)
    with pytest.raises(DataError, match="same users"):
        far_but_related(np.ones((5, 5)), np.ones((4, 4)), np.ones((4, 4)))
