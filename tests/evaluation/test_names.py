"""Metrics by their printed forms, wherever an evaluation takes a metric."""

from __future__ import annotations

import numpy as np
import pytest

from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.core.vocabulary import Vocabulary
from nearfar.evaluation.evaluation import Evaluation
from nearfar.evaluation.paired import compare, compare_all
from nearfar.metrics.ndcg import NDCG


def evaluation(name: str, values: list[float]) -> Evaluation:
    counts = np.full(len(values), 5)
    users = Vocabulary(range(len(values)))
    return Evaluation(name, {NDCG(100): np.array(values)}, users, counts, counts)


A, B = evaluation("a", [0.1, 0.2, 0.4]), evaluation("b", [0.2, 0.2, 0.5])


@pytest.mark.parametrize("name", ["NDCG@100", "ndcg@100", " Ndcg@100"])
def test_a_name_is_the_metric(name: str) -> None:
    metric = NDCG(100)
    assert A.mean(name) == A.mean(metric)
    assert A.standard_error(name) == A.standard_error(metric)
    assert A.interval(name) == A.interval(metric)
    np.testing.assert_array_equal(A.values(name), A.values(metric))
    assert compare(A, B, name) == compare(A, B, metric)
    assert compare_all({"a": A, "b": B}, "a", [name]) == compare_all(
        {"a": A, "b": B}, "a", [metric]
    )


def test_other_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"'NDCG@10'; did you mean 'NDCG@100'"):
        A.mean("ndcg@10")
    with pytest.raises(SettingsError, match="5 is not a group of users"):
        A.groups([5, 10])  # pyright: ignore[reportArgumentType]


def test_groups_are_named_in_one_text_or_one_by_one() -> None:
    assert list(A.groups("5-10, 11-")) == list(A.groups(["5-10", " 11-"]))
