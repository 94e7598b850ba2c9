"""Weights of interactions: from kinds and counts of a log to what training sees."""

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array

from nearfar.core.errors import (
    DataError,
    EmptyDataError,
    SchemaError,
    SettingsError,
    UnknownNameError,
)
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.filters import Filters
from nearfar.data.interactions import Interactions
from nearfar.data.log import read_log
from nearfar.data.splits.folder import load_split, save_split
from nearfar.data.splits.hold_out import hold_out_users
from nearfar.data.splits.strong import split_strong
from nearfar.data.weighting import Weighting, parse_kinds

EVENTS = pl.DataFrame(
    {
        "user": [1, 1, 1, 1, 2, 2, 2, 3],
        "item": [7, 7, 7, 8, 7, 8, 9, 9],
        "event": ["view", "view", "buy", "click", "view", "share", "buy", None],
    }
)
KINDS = "view=1,click=2,buy=5"


def weights_of(train: Interactions) -> dict[tuple[int, int], float]:
    """(user, item) -> weight."""
    assert train.weights is not None
    entries = train.x.tocoo()
    users, items = train.user_ids.ids, train.item_ids.ids
    return {
        (users[int(u)], items[int(i)]): float(w)
        for u, i, w in zip(entries.row, entries.col, train.weights, strict=True)
    }


def test_an_interaction_has_the_weight_of_its_strongest_kind() -> None:
    log = read_log(EVENTS, kind_weights=KINDS)
    assert weights_of(log.interactions()) == {(1, 7): 5, (1, 8): 2, (2, 7): 1, (2, 9): 5}
    assert log.read is not None
    assert dict(log.read.left_out) == {
        "the kind 'share' has no weight": 1, "the kind 'missing' has no weight": 1
    }  # fmt: skip
    assert log.read.columns["kind"] == "event"


def test_weights_of_repeats_add_up_where_that_is_asked_for() -> None:
    log = read_log(EVENTS, kind_weights={"view": 1, "click": 2, "buy": 5}, repeats="sum")
    expected = {(1, 7): 7, (1, 8): 2, (2, 7): 1, (2, 9): 5}
    assert weights_of(log.interactions()) == expected
    merged = read_log(EVENTS, kind_weights=KINDS, repeats="sum", filters=Filters())
    assert merged.n_events == 4
    assert weights_of(merged.interactions()) == expected


def test_a_kind_of_weight_0_is_no_event_and_quantities_multiply() -> None:
    events = EVENTS.with_columns(quantity=pl.Series([3, 1, 2, 1, 4, 1, 1, 1]))
    log = read_log(events, kind_weights="view=0,buy=5,click=1")
    assert weights_of(log.interactions()) == {(1, 7): 10, (1, 8): 1, (2, 9): 5}


def test_kinds_that_do_not_occur_are_told_and_refused_where_none_does() -> None:
    log = read_log(EVENTS, kind_weights="view=1,purchase=5")
    assert log.read is not None
    assert log.read.remarks == [
        "no event is of the kind 'purchase'; the log has 'view', 'buy', 'click', 'missing', 'share'"
    ]
    with pytest.raises(EmptyDataError, match="no event is of the kinds 'a', 'b'; the log has 'v"):
        read_log(EVENTS, kind_weights="a=1,b=2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("view", "'view' is not of the form kind=number, such as buy=5"),
        ("view=x", "'view=x' is not of the form"),
        ("view=1,view=2", "'view' is given twice"),
        ("view=-1", "'view' is -1.0; a number of at least 0"),
        ("view=0", "no kind has a weight above 0"),
    ],
)
def test_wrong_weights_of_kinds_are_told(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_log(EVENTS, kind_weights=text)


def test_what_does_not_go_together_is_refused(tmp_path) -> None:
    read = read_log(EVENTS, kind="event").read
    assert read is not None
    assert any('kind_weights = "view=1,buy=2,click=3,share=4"' in r for r in read.remarks), (
        "all count alike"
    )
    with pytest.raises(SchemaError, match=r"no column known as the kind.*--kind-column"):
        read_log(EVENTS.rename({"event": "what"}), kind_weights=KINDS)
    assert read_log(EVENTS.rename({"event": "what"}), kind="what", kind_weights=KINDS).n_events == 6
    with pytest.raises(SchemaError, match="no column known as the weight"):
        read_log(EVENTS, weights="log")
    with pytest.raises(SettingsError, match="leave out one of the two"):
        Weighting(parse_kinds(KINDS), scale="none")
    with pytest.raises(UnknownNameError, match="did you mean 'log'"):
        Weighting(scale="logs")  # pyright: ignore[reportArgumentType]
    inter = tmp_path / "a.inter"
    inter.write_text("user_id:token\titem_id:token\n1\t2\n")
    with pytest.raises(SettingsError, match="no kinds of events"):
        read_log(inter, kind_weights=KINDS)


def test_counts_are_used_where_their_column_is_named_or_a_scale_is() -> None:
    plays = pl.DataFrame({"user": [1, 1, 2, 2], "item": [7, 7, 7, 8], "plays": [1, 2, 7, 1]})
    assert read_log(plays).interactions().weights is None
    assert read_log(plays, weight="plays", weights="none").interactions().weights is None
    named = read_log(plays, weight="plays").interactions()
    assert weights_of(named) == {(1, 7): 3, (2, 7): 7, (2, 8): 1}
    log = read_log(plays, weights="log", repeats="max").interactions()
    assert weights_of(log) == pytest.approx({(1, 7): np.log2(3), (2, 7): 3, (2, 8): 1})


def sample(n_users: int = 40, n_items: int = 12) -> Interactions:
    rng = np.random.default_rng(0)
    x = csr_array((rng.random((n_users, n_items)) < 0.6).astype(np.float32))
    weights = rng.integers(1, 9, x.nnz).astype(np.float32)
    return Interactions(
        x, Vocabulary(range(n_users)), Vocabulary(range(100, 100 + n_items)), weights
    )


def test_weights_follow_their_interactions() -> None:
    train = sample()
    every = weights_of(train)
    taken = train.take_users(np.array([5, 2, 30]))
    assert weights_of(taken) == {k: w for k, w in every.items() if k[0] in (5, 2, 30)}
    moved = train.on_items(Vocabulary([107, 3, 101, 105]))
    assert weights_of(moved) == {k: w for k, w in every.items() if k[1] in (107, 101, 105)}
    rest, held = hold_out_users(train, 0.2, seed=1)
    parts = (rest, held.fold_in, held.held_out)
    assert {k: w for part in parts for k, w in weights_of(part).items()} == every


def test_only_ratios_count_and_the_fingerprint_knows_the_weights() -> None:
    train = sample()
    weights = train.weights
    assert weights is not None
    doubled = Interactions(train.x, train.user_ids, train.item_ids, 2 * weights)
    np.testing.assert_allclose(doubled.weighted.data, train.weighted.data)
    assert train.weighted.data.mean() == pytest.approx(1)
    plain = Interactions(train.x, train.user_ids, train.item_ids)
    assert plain.weighted is plain.x
    assert len({train.fingerprint, doubled.fingerprint, plain.fingerprint}) == 3
    for wrong in (weights[:-1], 0 * weights, np.full(len(weights), np.inf)):
        with pytest.raises(DataError, match="one finite number above 0"):
            Interactions(train.x, train.user_ids, train.item_ids, wrong)


def test_a_split_keeps_the_weights_of_its_training_users(tmp_path) -> None:
    train = sample()
    entries = train.x.tocoo()
    events = pl.DataFrame(
        {"user": entries.row, "item": entries.col + 100, "plays": train.weights}
    ).with_columns(pl.col("user", "item").cast(pl.Int64))
    split = split_strong(read_log(events, weight="plays"), 5)
    every = weights_of(train)
    own = weights_of(split.train)
    assert own == {key: every[key] for key in own}
    assert len(own) == split.train.n_interactions > 100
    save_split(split, tmp_path / "split")
    loaded = load_split(tmp_path / "split")
    assert weights_of(loaded.train) == own
    assert loaded.test.held_out.weights is None
