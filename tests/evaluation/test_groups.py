from __future__ import annotations

import math

import numpy as np
import pytest

from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.evaluation.groups import Group, parse_groups
from tests.evaluation.cases import RECALL, evaluation


def test_parses_the_papers_groups() -> None:
    groups = parse_groups("5-10, 11-50,51-100 ,101-")
    assert groups == (Group(5, 10), Group(11, 50), Group(51, 100), Group(101, None))
    assert [str(group) for group in groups] == ["5-10", "11-50", "51-100", "101-"]


def test_both_ends_are_in() -> None:
    counts = np.array([4, 5, 10, 11])
    assert Group(5, 10).contains(counts).tolist() == [False, True, True, False]
    assert Group(10).contains(counts).tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ("5-10,10-20", "5-10 and 10-20 overlap"),
        ("5-,11-20", "5- and 11-20 overlap"),
        ("11-50,5-10", "5-10 comes after 11-50"),
        ("10-5", "ends before it starts"),
        ("few-many", "'few-many' is not LOW-HIGH"),
        ("5", "'5' is not LOW-HIGH"),
        ("-5", "'-5' is not LOW-HIGH"),
        ("5-10,", "'' is not LOW-HIGH"),
        ("1.5-3", "whole numbers"),
        ("", "not LOW-HIGH"),
    ],
)
def test_refuses_what_is_no_list_of_groups(bounds: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_groups(bounds)


def test_groups_of_an_evaluation() -> None:
    whole = evaluation(
        [0.1, 0.2, 0.3, 0.4], n_fold_in=[4, 9, 10, 2], n_held_out=[1, 1, 1, 1], name="m"
    )
    by_all = whole.groups("5-10,11-50,51-")
    assert [part.per_user[RECALL].tolist() for part in by_all.values()] == [[0.1, 0.2], [0.3], []]
    assert by_all[Group(5, 10)].user_ids.ids.to_list() == ["u0", "u1"]
    assert by_all[Group(5, 10)].n_fold_in.tolist() == [4, 9]
    assert by_all[Group(5, 10)].mean(RECALL) == pytest.approx(0.15)
    by_seen = whole.groups("5-10,11-50,51-", by="fold_in")
    assert [part.per_user[RECALL].tolist() for part in by_seen.values()] == [[0.2, 0.3], [], []]


def test_an_empty_group_has_no_mean_and_says_so_in_json() -> None:
    part = evaluation([0.5]).groups([Group(100)])[Group(100)]
    assert part.n_users == 0
    assert math.isnan(part.mean(RECALL))
    assert part.interval(RECALL) is None
    assert part.to_dict()["metrics"]["Recall@20"]["mean"] is None
    assert "Recall@20          -" in str(part)


def test_given_groups_are_checked_too() -> None:
    with pytest.raises(SettingsError, match="overlap"):
        evaluation([0.5]).groups([Group(1, 5), Group(5, 9)])
    with pytest.raises(SettingsError, match="no groups"):
        evaluation([0.5]).groups([])


def test_refuses_an_unknown_count() -> None:
    with pytest.raises(UnknownNameError, match="fold_in"):
        evaluation([0.5]).activity("foldin")  # pyright: ignore[reportArgumentType]
