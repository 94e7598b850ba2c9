"""Cohorts by number of interactions: who is in them, and what is said of them."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import EmptyDataError, SettingsError
from nearfar.maps.cohorts import cohorts_by_interactions


def members(counts, cohorts, label) -> list[int]:
    return sorted(counts[cohorts.rows[cohorts.labels == label]].tolist())


def test_the_papers_cohorts_with_enough_users() -> None:
    counts = np.repeat([4, 5, 6, 45, 46, 50, 55, 56, 318, 319, 350, 385, 386], 60)
    cohorts = cohorts_by_interactions(counts)
    assert cohorts.names == (
        "about 5 interactions (5-6)",
        "about 50 interactions (46-55)",
        "about 350 interactions (319-385)",
    )
    assert members(counts, cohorts, 1) == sorted([46, 50, 55] * 60)
    assert [g["n_drawn"] for g in cohorts.groups] == [120, 180, 180]
    assert cohorts.notes == ("60 users have 5 interactions or within 10% of it; widened to 5-6",)
    assert cohorts.ordered


def test_an_exact_cohort_is_called_so() -> None:
    counts = np.repeat([5, 50], 100)
    cohorts = cohorts_by_interactions(counts, (5, 50), tolerance=0)
    assert cohorts.names == ("5 interactions", "50 interactions")
    assert cohorts.notes == ()


def test_a_small_cohort_is_widened_to_the_nearest_users_and_says_so() -> None:
    counts = np.array([5] * 3 + [6] * 4 + [7] * 50 + [9] * 50 + [50] * 100)
    cohorts = cohorts_by_interactions(counts, (5, 50), at_least=20)
    # 3 within 10%, and 6 is nearest, then 7, all of which count: no drawing among ties
    assert members(counts, cohorts, 0) == [5] * 3 + [6] * 4 + [7] * 50
    assert cohorts.groups[0]["n_within_tolerance"] == 3
    assert cohorts.groups[0]["widened"]
    assert not cohorts.groups[1]["widened"]
    assert cohorts.notes == ("3 users have 5 interactions or within 10% of it; widened to 5-7",)


def test_widening_stops_half_way_to_the_next_size() -> None:
    counts = np.array([5] * 5 + [15] * 5 + [16] * 90 + [50] * 100)
    cohorts = cohorts_by_interactions(counts, (5, 50), at_least=1000)
    # the geometric mean of 5 and 50 is 15.8
    assert members(counts, cohorts, 0) == [5] * 5 + [15] * 5
    assert members(counts, cohorts, 1) == [16] * 90 + [50] * 100


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=200),
    st.lists(st.integers(1, 400), min_size=2, max_size=5, unique=True),
    st.floats(0, 5),
    st.integers(0, 50),
)
def test_cohorts_never_share_a_user_and_rise(counts, sizes, tolerance, at_least) -> None:
    counts, sizes = np.array(counts), sorted(sizes)
    try:
        cohorts = cohorts_by_interactions(counts, sizes, tolerance=tolerance, at_least=at_least)
    except EmptyDataError:
        return
    assert len(np.unique(cohorts.rows)) == cohorts.n_users
    assert (counts[cohorts.rows] > 0).all()
    bounds = [(g["low"], g["high"]) for g in cohorts.groups]
    assert all(a[1] < b[0] for a, b in pairwise(bounds))
    for label, group in enumerate(cohorts.groups):
        mine = counts[cohorts.rows[cohorts.labels == label]]
        assert (mine.min(), mine.max()) == (group["low"], group["high"])
        # nobody between the bounds was passed over
        assert ((counts >= group["low"]) & (counts <= group["high"])).sum() == len(mine)


def test_users_are_drawn_evenly_by_seed() -> None:
    counts = np.repeat([5, 50, 350], [1000, 500, 30])
    cohorts = cohorts_by_interactions(counts, max_users=300, seed=3)
    assert np.bincount(cohorts.labels).tolist() == [100, 100, 30]
    assert "5 interactions: 100 of 1,000 users drawn" in cohorts.notes
    assert len(np.unique(cohorts.rows)) == 230
    again = cohorts_by_interactions(counts, max_users=300, seed=3)
    assert (again.rows == cohorts.rows).all()
    other = cohorts_by_interactions(counts, max_users=300, seed=4)
    assert (other.rows != cohorts.rows).any()


def test_a_cohort_of_one_is_left_out_and_named() -> None:
    counts = np.array([5] * 10 + [50] * 10 + [350])
    cohorts = cohorts_by_interactions(counts)
    assert len(cohorts.names) == 2
    assert cohorts.notes[-1] == "350 interactions: fewer than two users, left out"


def test_no_cohorts_says_what_there_is() -> None:
    with pytest.raises(
        EmptyDataError, match=r"users have 900 to 950 .* choose other sizes, such as 900,950 "
    ):
        cohorts_by_interactions(np.array([900] * 10 + [950] * 10), (5, 50))
    with pytest.raises(EmptyDataError, match="no user has any interaction"):
        cohorts_by_interactions(np.zeros(5, int))


@pytest.mark.parametrize(
    "wrong",
    [
        {"sizes": (5,)},
        {"sizes": (50, 5)},
        {"sizes": (0, 5)},
        {"tolerance": -1},
        {"at_least": -1},
        {"max_users": 3},
    ],
)
def test_settings_out_of_range_are_refused(wrong) -> None:
    with pytest.raises(SettingsError):
        cohorts_by_interactions(np.repeat([5, 50], 10), **{"sizes": (5, 50), **wrong})
