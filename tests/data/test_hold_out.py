"""Holding users out of a matrix; moving a matrix to other items."""

import numpy as np
import pytest

from nearfar.core.errors import EmptyDataError, SettingsError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.splits.hold_out import hold_out_users, single_item_remark
from tests.conftest import interactions


def some(n_users: int = 60, n_items: int = 20, density: float = 0.4):
    return interactions(np.random.default_rng(1).random((n_users, n_items)) < density)


def test_users_are_parted_and_nothing_is_lost() -> None:
    data = some()
    train, part = hold_out_users(data, 0.2, seed=3)
    assert part.n_users == 12
    ids = [*train.user_ids.ids.to_list(), *part.fold_in.user_ids.ids.to_list()]
    assert sorted(ids) == sorted(data.user_ids.ids.to_list())
    rows = data.user_ids.index(part.fold_in.user_ids.ids)
    both = part.fold_in.x + part.held_out.x
    np.testing.assert_array_equal(both.toarray(), data.x[rows].toarray())


def test_a_fifth_of_the_items_rounded_down_and_at_least_one_is_to_be_found() -> None:
    _, part = hold_out_users(some(), 0.5)
    held, kept = np.diff(part.held_out.x.indptr), np.diff(part.fold_in.x.indptr)
    assert (held + kept >= 2).all()
    np.testing.assert_array_equal(held, np.maximum(1, (0.2 * (held + kept)).astype(int)))


def test_the_seed_decides() -> None:
    prints = [hold_out_users(some(), 0.3, seed=s)[1].held_out.fingerprint for s in (1, 1, 2)]
    assert prints[0] == prints[1] != prints[2]


def test_every_item_of_a_user_is_as_likely_a_target() -> None:
    data = interactions(np.ones((4000, 10), bool))
    _, part = hold_out_users(data, 0.9)
    np.testing.assert_allclose(part.held_out.x.sum(0) / part.n_users, 0.2, atol=0.03)


def test_what_cannot_be_held_out_is_refused() -> None:
    with pytest.raises(SettingsError, match="between 0 and 1"):
        hold_out_users(some(), 1.0)
    with pytest.raises(EmptyDataError, match=r"too few .*--validation-share 0"):
        hold_out_users(interactions(np.eye(6)), 0.5)


def short_histories():
    """900 users with one item, 80 with two to four, 20 with ten."""
    rng = np.random.default_rng(0)
    n_items = np.r_[np.ones(900, int), rng.integers(2, 5, 80), np.full(20, 10)]
    return interactions(np.array([np.isin(np.arange(40), rng.choice(40, n)) for n in n_items]))


def test_short_histories_are_held_out_as_often_as_long_ones() -> None:
    """Not the few long ones alone, which would then be missing from training."""
    data = short_histories()
    n_able = (np.diff(data.x.indptr) >= 2).sum()
    train, part = hold_out_users(data, 0.1)
    assert part.n_users == int(0.1 * n_able)
    n = np.diff(part.fold_in.x.indptr) + np.diff(part.held_out.x.indptr)
    assert n.min() >= 2
    assert (n < 5).sum() > (n >= 5).sum()
    assert (np.diff(part.fold_in.x.indptr) >= 1).all()
    assert (np.diff(train.x.indptr) >= 5).sum() >= 10
    assert (
        single_item_remark(data) == f"{1000 - n_able} users with a single item are never held out"
    )
    assert single_item_remark(part.fold_in.take_users([])) == ""


def test_moving_to_other_items_matches_by_id() -> None:
    data = interactions(np.array([[1, 1, 0], [0, 1, 1]]))
    moved = data.on_items(Vocabulary([102, 7, 100]))
    np.testing.assert_array_equal(moved.x.toarray(), [[0, 0, 1], [1, 0, 0]])
    assert moved.user_ids == data.user_ids


def test_a_share_of_less_than_an_item_is_one_item() -> None:
    _, part = hold_out_users(some(), 0.5, target_share=0.01)
    assert set(np.diff(part.held_out.x.indptr)) == {1}
