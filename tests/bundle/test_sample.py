"""The sample that several models are examined on: the same users, all of them known to all."""

import numpy as np
import pytest

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.theory_subject import common_sample
from nearfar.core.errors import EmptyDataError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import Interactions
from tests.bundle.cases import ABOUT, N_ITEMS, make_items, make_model
from tests.conftest import interactions

ALL = Bundle(make_model("constant"), make_items(), ABOUT)
FOUR = Bundle(make_model("constant", 4), Vocabulary([111, 110, 109, 999]), ABOUT)
STRANGE = Bundle(make_model("constant", 2), Vocabulary([1, 2]), ABOUT)


def everyone() -> Interactions:
    """40 users; user r has item r % 12 alone."""
    x = np.zeros((40, N_ITEMS))
    x[np.arange(40), np.arange(40) % N_ITEMS] = 1
    return interactions(x)


def test_users_have_an_item_that_every_bundle_knows() -> None:
    found = common_sample(everyone(), [ALL, FOUR], 100, seed=0)
    assert found.user_ids.ids.to_list() == ["u9", "u10", "u11", "u21", "u22", "u23", "u33", "u34",
                                            "u35"]  # fmt: skip
    assert found.item_ids == everyone().item_ids


def test_a_seed_draws_the_same_users_whatever_the_bundles_are() -> None:
    one = common_sample(everyone(), [ALL], 15, seed=1)
    assert one.n_users == 15
    assert one.user_ids == common_sample(everyone(), [ALL, ALL], 15, seed=1).user_ids
    assert one.user_ids != common_sample(everyone(), [ALL], 15, seed=2).user_ids
    places = everyone().user_ids.index(one.user_ids.ids)
    assert (np.diff(places) > 0).all()


def test_nobody_left_is_an_error() -> None:
    with pytest.raises(EmptyDataError, match="all the bundles know"):
        common_sample(everyone(), [ALL, STRANGE], 15, seed=0)
