from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nearfar.core.errors import DataError, EmptyDataError
from nearfar.core.vocabulary import Vocabulary
from nearfar.evaluation.pooled import pooled
from nearfar.metrics.ndcg import NDCG
from tests.evaluation.cases import RECALL, evaluation


def test_each_user_counts_once() -> None:
    first = evaluation([0.2, 0.4, 1.0], n_fold_in=[4, 6, 8], n_held_out=[1, 3, 1])
    second = replace(
        evaluation([0.8, 0.0], n_fold_in=[10, 2], n_held_out=[2, 5]),
        user_ids=Vocabulary(["u1", "u9"]), n_dropped=2,
    )  # fmt: skip
    found = pooled([first, second])
    assert found.user_ids.ids.to_list() == ["u0", "u1", "u2", "u9"]
    np.testing.assert_allclose(found.values(RECALL), [0.2, 0.6, 1.0, 0.0])
    assert found.n_fold_in.tolist() == [4, 8, 8, 2]
    assert found.n_held_out.tolist() == [1, 2, 1, 5]
    assert (found.n_dropped, found.name) == (2, "all")
    interval = found.interval(RECALL)
    alone = evaluation([0.2, 0.6, 1.0, 0.0]).interval(RECALL)
    assert interval is not None
    assert alone is not None
    assert interval.low == pytest.approx(alone.low)


def test_a_user_stays_in_the_group_that_all_evaluations_have_them_in() -> None:
    first = evaluation([0.2], n_fold_in=[4], n_held_out=[3])
    second = evaluation([0.4], n_fold_in=[5], n_held_out=[2])
    assert pooled([first, second]).activity("total").tolist() == [7]


def test_what_does_not_go_together_is_refused() -> None:
    one = evaluation([0.2])
    with pytest.raises(EmptyDataError, match="no evaluations"):
        pooled([])
    with pytest.raises(DataError, match="'model' has the metrics NDCG@5; 'model' has Recall@20"):
        pooled([one, evaluation([0.1], metric=NDCG(5))])
    with pytest.raises(DataError, match="numbers in one evaluation and text"):
        pooled([one, replace(one, user_ids=Vocabulary([1]))])
