"""Whole histories of a split's users."""

import numpy as np

from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import FoldIn, Interactions, Split, whole_histories
from tests.conftest import interactions
from tests.maps.cases import split_of_sizes


def test_everyone_once_with_all_interactions() -> None:
    split = split_of_sizes()
    everyone = whole_histories(split)
    assert everyone.n_users == 90
    counts = dict(zip(everyone.user_ids.ids, np.diff(everyone.x.indptr), strict=True))
    sizes = np.repeat([2, 6, 18], 30)
    assert counts == {f"u{i}": n for i, n in enumerate(sizes)}
    assert whole_histories(split, "train").user_ids == split.train.user_ids
    assert whole_histories(split, "held-out").n_users == 30


def test_a_user_of_several_parts_counts_once_with_the_latest_history() -> None:
    x = np.eye(4, dtype=np.float32)
    train = interactions(x)
    more = Interactions((x + np.roll(x, 1, axis=1)), train.user_ids, train.item_ids)
    none = Interactions(0 * x[:0], Vocabulary(train.user_ids.ids[:0]), train.item_ids)
    hidden = Interactions(np.roll(x, 2, axis=1), train.user_ids, train.item_ids)
    split = Split(train, FoldIn(none, none), FoldIn(more, hidden))
    everyone = whole_histories(split)
    assert everyone.n_users == 4
    assert (np.diff(everyone.x.indptr) == 3).all()
