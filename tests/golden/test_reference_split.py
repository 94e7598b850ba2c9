"""The strong-generalisation split against an independent transcription of the protocol."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.data.filters import Filters
from nearfar.data.interactions import FoldIn
from nearfar.data.log import Log, read_log, read_parts
from nearfar.data.splits.given import split_given
from nearfar.data.splits.strong import split_strong

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
Pairs = list[tuple[int, int]]


def transcribed(events: pd.DataFrame, n_held_out: int, seed: int, share: float) -> dict[str, Pairs]:
    """The protocol step by step on a table of (user, item) without repeats, row by row."""
    users = np.array(sorted(set(events["user"])))
    order = np.random.RandomState(seed).permutation(len(users))
    shuffled = users[order]
    test_users = set(shuffled[-n_held_out:])
    validation_users = set(shuffled[-2 * n_held_out : -n_held_out])
    train = events[~events["user"].isin(test_users | validation_users)]
    items = list(dict.fromkeys(train["item"]))
    result: dict[str, Pairs] = {"train": pairs(train), "items": [(i, i) for i in items]}
    for name, members in (("validation", validation_users), ("test", test_users)):
        mine = events[events["user"].isin(members) & events["item"].isin(items)]
        draw = np.random.RandomState(seed)
        fold_in, held_out = [], []
        for _, rows in mine.groupby("user", sort=True):
            chosen = np.zeros(len(rows), bool)
            if len(rows) >= 5:
                chosen[draw.choice(len(rows), size=int(share * len(rows)), replace=False)] = True
            fold_in.append(rows[~chosen])
            held_out.append(rows[chosen])
        empty = mine.iloc[:0]
        result[f"{name} fold-in"] = pairs(pd.concat([empty, *fold_in]))
        result[f"{name} held-out"] = pairs(pd.concat([empty, *held_out]))
    return result


def pairs(table: pd.DataFrame) -> Pairs:
    return sorted(zip(table["user"].tolist(), table["item"].tolist(), strict=True))


def ours(log: Log, n_held_out: int, seed: int = 98765, share: float = 0.2) -> dict[str, Pairs]:
    split = split_strong(log, n_held_out, seed, share)
    items = split.train.item_ids.ids.to_list()
    result = {"train": named(split.train), "items": [(i, i) for i in items]}
    for name in ("validation", "test"):
        part: FoldIn = getattr(split, name)
        result[f"{name} fold-in"] = named(part.fold_in)
        result[f"{name} held-out"] = named(part.held_out)
    return result


def named(part) -> Pairs:
    rows, columns = part.x.nonzero()
    users, items = part.user_ids.ids.to_list(), part.item_ids.ids.to_list()
    return sorted((users[r], items[c]) for r, c in zip(rows, columns, strict=True))


def trap_events() -> Pairs:
    """Users unsorted, items that train lacks, one user that they leave with four events.

    Under seed 98765 the nine users fall into train 41 30 5 8 3, validation 77 12, test 9 20.
    """
    of_user = {
        77: [104, 101, 999, 107, 103, 105, 102, 106, 108, 109, 110],  # 10 known: 2 targets
        20: [101, 102, 103, 104, 998],  # falls to 4 known events: no target
        41: [107, 103, 101, 108],
        12: [109, 108, 107, 106, 105, 104, 103, 102, 101],  # 9 known: int(1.8) = 1 target
        5: [105, 101, 110],
        3: [102, 104, 101],
        30: [106, 107, 109],
        8: [101, 105, 102],
        9: [103, 101, 104, 102, 107],  # exactly 5: 1 target
    }
    events = [(u, i) for u, mine in of_user.items() for i in mine]
    return [events[n] for n in np.random.default_rng(11).permutation(len(events))]


def table(events: Pairs) -> pd.DataFrame:
    return pd.DataFrame(events, columns=["user", "item"])


def log_of(events: Pairs) -> Log:
    return read_log(pl.DataFrame(events, schema=["user", "item"], orient="row"))


def test_the_traps_equal_the_transcription():
    events = trap_events()
    assert ours(log_of(events), 2) == transcribed(table(events), 2, 98765, 0.2)


def test_the_traps_equal_frozen_values():
    split = split_strong(log_of(trap_events()), 2)
    found = {
        "train users": split.train.user_ids.ids.to_list(),
        "validation users": split.validation.fold_in.user_ids.ids.to_list(),
        "test users": split.test.fold_in.user_ids.ids.to_list(),
        "items": split.train.item_ids.ids.to_list(),
        "validation targets": named(split.validation.held_out),
        "test targets": named(split.test.held_out),
    }
    # Printed once by the transcription above, on NumPy 2.4.
    assert found == {
        "train users": [41, 30, 5, 8, 3],
        "validation users": [77, 12],
        "test users": [9, 20],
        "items": [101, 104, 106, 102, 103, 107, 105, 109, 110, 108],
        "validation targets": [(12, 104), (77, 105), (77, 109)],
        "test targets": [(9, 102)],
    }


def test_each_trap_is_one():
    events = trap_events()
    split = split_strong(log_of(events), 2)
    items = split.train.item_ids.ids.to_list()
    assert [u for u, _ in events] != sorted(u for u, _ in events)
    assert items != sorted(items)
    assert {998, 999}.isdisjoint(items)
    users = split.test.fold_in.user_ids.ids.to_list()
    n_targets = np.diff(split.test.held_out.x.indptr)
    assert n_targets[users.index(20)] == 0
    assert np.diff(split.test.fold_in.x.indptr)[users.index(20)] == 4
    assert n_targets[users.index(9)] == 1
    targets = dict(
        zip(
            split.validation.fold_in.user_ids.ids.to_list(),
            np.diff(split.validation.held_out.x.indptr).tolist(),
            strict=True,
        )
    )
    assert targets == {77: 2, 12: 1}
    counts = split.protocol["counts"]
    assert isinstance(counts, dict)
    assert counts["test"]["users_without_target"] == 1
    assert counts["test"]["events_of_unknown_items"] == 1


def test_the_generator_starts_anew_for_each_group():
    # Users of ten items each: the first user walked of either group draws the same positions.
    events = [(u, i) for u in range(12) for i in range(10)]
    split = split_strong(log_of(events), 3)
    drawn = []
    for part in (split.validation, split.test):
        first = int(np.argmin(part.fold_in.user_ids.ids.to_numpy()))
        row = part.held_out.x[[first]].indices
        drawn.append(sorted(part.fold_in.item_ids.ids.to_numpy()[row].tolist()))
    assert drawn[0] == drawn[1]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), min_size=60, unique=True),
    st.integers(1, 4),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.2, 0.5, 0.3]),
)
def test_any_log_equals_the_transcription(events, n_held_out, seed, share):
    n_users = len({u for u, _ in events})
    n_held_out = min(n_held_out, (n_users - 1) // 2)
    expected = transcribed(table(events), n_held_out, seed, share)
    if n_held_out < 1 or len(expected["items"]) < 2:
        return
    assert ours(log_of(events), n_held_out, seed, share) == expected


def test_text_ids_are_walked_by_code_point():
    events = [(f"{'Ubé'[u % 3]}{u}", i) for u in range(15) for i in range(7)]
    table_of_text = pd.DataFrame(events, columns=["user", "item"])
    log = read_log(pl.DataFrame(events, schema=["user", "item"], orient="row"))
    assert ours(log, 3) == transcribed(table_of_text, 3, 98765, 0.2)


@pytest.mark.skipif(not (SHARED / "ml-1m.zip").exists(), reason="MovieLens-1M is not available")
class TestMovieLens1M:
    def test_counts(self):
        log = read_log(SHARED / "ml-1m.zip", filters=Filters(min_rating=4, min_user=5))
        assert (log.n_users, log.n_items, log.n_events) == (6034, 3533, 575272)

    @pytest.mark.slow
    def test_split_equals_the_transcription(self):
        log = read_log(SHARED / "ml-1m.zip", filters=Filters(min_rating=4, min_user=5))
        events = pd.DataFrame(log.frame.select("user", "item").to_dict(as_series=False))
        assert ours(log, 600) == transcribed(events, 600, 98765, 0.2)


@pytest.mark.skipif(not (SHARED / "gowalla.zip").exists(), reason="Gowalla is not available")
def test_gowalla_counts():
    train, test = read_parts(SHARED / "gowalla.zip")
    split = split_given(train, test, validation_share=0)
    assert split.train.x.shape == (29858, 40981)
    assert split.train.n_interactions == 810128
    assert split.test.held_out.n_interactions == 217242
    assert split.validation.held_out.n_interactions == 0
