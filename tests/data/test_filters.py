"""Filters: what is kept, in which order, and what each step tells."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from nearfar.core.errors import EmptyDataError, SchemaError, SettingsError, UnknownNameError
from nearfar.data.filters import (
    Filters,
    frequent,
    merge_duplicates,
    min_rating,
    preset,
    time_window,
)
from nearfar.data.log import Log, read_log

pairs = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=50)


def log_of(events: list[tuple[int, int]], **more: list) -> Log:
    users, items = zip(*events, strict=True)
    return read_log(pl.DataFrame({"user": users, "item": items, **more}))


def pairs_of(log: Log) -> set[tuple[int, int]]:
    return set(log.frame.select("user", "item").iter_rows())


def slow_core(events: set[tuple[int, int]], min_user: int, min_item: int) -> set[tuple[int, int]]:
    while True:
        kept = {
            (u, i)
            for u, i in events
            if sum(v == u for v, _ in events) >= min_user
            and sum(j == i for _, j in events) >= min_item
        }
        if kept == events:
            return kept
        events = kept


@given(pairs, st.integers(1, 4), st.integers(1, 4))
def test_core_is_the_fixed_point(events, n_user, n_item):
    log = merge_duplicates(log_of(events))
    core = frequent(log, n_user, n_item, fixed_point=True)
    assert pairs_of(core) == slow_core(set(events), n_user, n_item)
    again = frequent(core, n_user, n_item, fixed_point=True)
    assert again.n_events == core.n_events


@given(pairs, st.integers(1, 4), st.integers(1, 4), st.randoms(use_true_random=False))
def test_order_of_rows_is_irrelevant_to_what_counts_keep(events, n_user, n_item, random):
    shuffled = random.sample(events, len(events))
    for fixed_point in (False, True):
        filters = Filters(min_user=n_user, min_item=n_item, fixed_point=fixed_point)
        kept = []
        for order in (events, shuffled):
            try:
                kept.append(pairs_of(filters.apply(log_of(order))))
            except EmptyDataError:
                kept.append(set())
        assert kept[0] == kept[1]


@given(pairs)
def test_steps_add_up_and_ids_stay_compact(events):
    log = log_of(events, rating=[1 + (u + i) % 5 for u, i in events])
    filters = Filters(min_rating=2, min_user=2, min_item=2)
    kept = frequent(merge_duplicates(min_rating(log, 2)), 2, 2)
    if not kept.n_events:
        told = "no user is left after the filters: rating >= 2 dropped"
        with pytest.raises(EmptyDataError, match=told):
            filters.apply(log)
        return
    assert filters.apply(log).steps == kept.steps
    assert log.n_events - sum(s.events for s in kept.steps) == kept.n_events
    assert log.n_users - sum(s.users for s in kept.steps) == kept.n_users
    assert log.n_items - sum(s.items for s in kept.steps) == kept.n_items
    assert kept.users.max() + 1 == kept.n_users
    first = kept.frame["item"].unique(maintain_order=True)
    assert first.to_list() == kept.item_ids.ids.to_list()


def test_items_are_counted_first_then_users_once():
    # User 1 has items 1, 2; item 2 has one user. Items >= 2 leave user 1 with one item.
    log = log_of([(1, 1), (1, 2), (2, 1), (2, 3), (3, 3), (3, 1), (4, 3)])
    once = Filters(min_user=2, min_item=2).apply(log)
    assert pairs_of(once) == {(2, 1), (2, 3), (3, 3), (3, 1)}
    assert [s.name for s in once.steps] == [
        "items with at least 2 users",
        "users with at least 2 items",
    ]
    assert [(s.events, s.users, s.items) for s in once.steps] == [(1, 0, 1), (2, 2, 0)]


def test_once_is_not_the_core():
    log = log_of([(1, 1), (1, 2), (2, 1), (3, 2), (3, 3), (4, 3)])
    assert pairs_of(frequent(log, 2, 2)) == {(1, 1), (1, 2), (3, 2), (3, 3)}
    assert frequent(log, 2, 2, fixed_point=True).n_events == 0


def test_the_first_of_repeated_events_stays():
    log = log_of([(1, 1), (2, 1), (1, 1), (1, 2)], timestamp=[10, 20, 5, 30])
    assert merge_duplicates(log).frame["timestamp"].to_list() == [10, 20, 30]


def test_a_rating_is_compared_as_it_is_stored():
    log = log_of([(1, 1), (1, 2)], rating=[4.1, 4.0])
    assert pairs_of(min_rating(log, 4.1)) == {(1, 1)}


def test_the_window_holds_its_start_and_not_its_end():
    log = log_of([(1, n) for n in range(4)], timestamp=[0, 86399, 86400, 172800])
    assert time_window(log, "1970-01-02", "1970-01-03").frame["item"].to_list() == [2]
    assert time_window(log, since=86399).n_events == 3
    assert time_window(log, until="1970-01-02T00:00:00+00:00").n_events == 2


def test_single_filters():
    log = log_of([(1, 1), (1, 2), (2, 1)])
    assert pairs_of(frequent(log, 2, 0)) == {(1, 1), (1, 2)}
    assert pairs_of(frequent(log, 0, 2)) == {(1, 1), (2, 1)}


def test_filters_know_what_they_need():
    log = log_of([(1, 1)])
    with pytest.raises(
        SchemaError, match="no rating to filter on; name its column with --rating-column"
    ):
        Filters(min_rating=4).apply(log)
    with pytest.raises(SchemaError, match="no timestamp"):
        Filters(since=4).apply(log)
    with pytest.raises(SettingsError, match="is not before until"):
        Filters(since="2024-05-02", until="2024-05-01")
    with pytest.raises(SettingsError, match="'May' is not a time"):
        Filters(since="May")
    with pytest.raises(SettingsError, match="at least 0"):
        Filters(min_user=-1)


def test_presets_are_the_published_ones():
    assert preset("ml-20m") == preset("netflix") == preset("ml-1m")
    assert preset("ml-20m") == Filters(min_rating=4, min_user=5)
    assert preset("msd") == Filters(min_item=200, min_user=20)
    with pytest.raises(UnknownNameError):
        preset("gowalla")


def test_no_filter_keeps_all():
    log = log_of([(3, 1), (1, 2), (3, 1)])
    assert_frame_equal(Filters(merge_duplicates=False).apply(log).frame, log.frame)
    assert np.array_equal(Filters().apply(log).users, [0, 1])
