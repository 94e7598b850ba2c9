"""Made-up data: as many as asked, none twice, heavy-tailed, of tastes that can be learnt."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nearfar as nf
from nearfar.cli.main import run
from nearfar.core.errors import DataError, FetchError, SettingsError, UnknownNameError
from nearfar.data import synthetic
from nearfar.data.fetch import data_sets
from nearfar.data.shapes import SHAPES, Synthetic
from nearfar.data.synthetic import synthetic_interactions

SHAPE = "3000x1000x60000"


@pytest.fixture(scope="module")
def log() -> nf.Interactions:
    return synthetic_interactions(SHAPE)


def raw_pairs(wanted: Synthetic) -> np.ndarray:
    """Pairs as drawn, before anything could merge repeated ones."""
    starts, items = synthetic._draw(wanted)
    return np.repeat(np.arange(wanted.users), np.diff(starts)) * wanted.items + items


@given(
    st.integers(1, 60),
    st.integers(8, 80),
    st.integers(1, 6),
    st.floats(0, 1),
    st.floats(0, 3),
    st.integers(0, 9),
)
def test_counts_are_met_to_the_one(users, items, min_user, fullness, spread, seed):
    least, most = max(users * min_user, items), users * items // 2
    if least > most:
        return
    interactions = least + int(fullness * (most - least))
    wanted = Synthetic(users, items, interactions, seed=seed, min_user=min_user, spread=spread)
    pairs = raw_pairs(wanted)
    assert len(np.unique(pairs)) == len(pairs) == interactions
    a_user = np.bincount(pairs // items, minlength=users)
    an_item = np.bincount(pairs % items, minlength=items)
    assert len(a_user) == users
    assert min_user <= a_user.min() <= a_user.max() <= wanted.max_user
    assert len(an_item) == items
    assert an_item.min() >= 1


def test_blocks_change_no_promise(monkeypatch):
    monkeypatch.setattr(synthetic, "BLOCK_EVENTS", 700)
    wanted = Synthetic.parse(SHAPE)
    pairs = raw_pairs(wanted)
    assert len(np.unique(pairs)) == len(pairs) == 60_000
    assert np.bincount(pairs // wanted.items).min() == 5
    assert len(np.unique(pairs // wanted.items)) == 3000


def test_the_matrix_is_of_the_shape_asked(log):
    assert (log.n_users, log.n_items, log.n_interactions) == (3000, 1000, 60_000)
    assert log.user_ids.ids.to_list() == list(range(3000))
    assert log.item_ids.is_integer
    assert log.x.has_canonical_format


def test_a_seed_says_all(log):
    again = synthetic_interactions(SHAPE)
    for name in ("indptr", "indices", "data"):
        assert getattr(log.x, name).tobytes() == getattr(again.x, name).tobytes()
    assert again.fingerprint == log.fingerprint
    other = synthetic_interactions(SHAPE, seed=1)
    assert other.fingerprint != log.fingerprint
    assert other.fingerprint == synthetic_interactions(f"{SHAPE},seed=1").fingerprint
    assert (np.diff(other.x.indptr) != np.diff(log.x.indptr)).mean() > 0.5


def test_few_items_have_most_interactions(log):
    counts = np.sort(log.item_counts)[::-1]
    assert 0.45 < counts[:100].sum() / counts.sum() < 0.75
    assert counts[500:].sum() / counts.sum() < 0.15
    assert counts[0] < 3 * counts[9]  # the head is flat; a pure power law of exponent 2 has 100
    even = synthetic_interactions(f"{SHAPE},exponent=0").item_counts
    assert even.max() < 3 * even.mean()


def test_items_are_not_in_order_of_popularity(log):
    assert abs(np.corrcoef(np.arange(log.n_items), log.item_counts)[0, 1]) < 0.1


@pytest.mark.parametrize("spread", [0.3, 0.8])
def test_activity_spreads_as_asked(spread):
    data = synthetic_interactions(f"2000x2000x100000,spread={spread},min_user=1")
    activity = np.log(np.diff(data.x.indptr))
    assert np.std(activity) == pytest.approx(spread, rel=0.08)
    assert abs(np.mean(activity) - np.median(activity)) < 0.1 * spread


def test_tastes_can_be_learnt():
    shape = "3000x1000x120000,clusters=16"
    split = nf.split_strong(nf.read_log(f"synthetic:{shape}"), 300)
    metric = nf.parse_metric("ndcg@100")

    def ndcg(algorithm, data=split) -> float:
        model = algorithm.fit(data.train)
        return nf.evaluate(model, data.test, [metric]).mean(metric)

    assert ndcg(nf.EASE(l2=100.0)) > 1.5 * ndcg(nf.Popularity()) > 0.1
    broad = nf.split_strong(nf.read_log(f"synthetic:{shape},breadth=1"), 300)
    assert ndcg(nf.EASE(l2=100.0), broad) < 1.1 * ndcg(nf.Popularity(), broad)


def test_memory_is_of_the_order_of_the_interactions():
    tracemalloc.start()
    try:
        data = synthetic_interactions("60000x60000x400000")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 150 * data.n_interactions
    assert 50 * peak < data.n_users * data.n_items  # a byte a pair


def test_the_log_holds_the_same_pairs(log):
    read = nf.read_log(f"synthetic:{SHAPE}")
    assert read.name == f"synthetic:{SHAPE}"
    found = read.interactions(log.user_ids, log.item_ids)
    assert found.fingerprint == log.fingerprint
    assert (read.n_users, read.n_items, read.n_events) == (3000, 1000, 60_000)
    first_met = read.frame["item"].unique(maintain_order=True)
    assert read.item_ids.ids.to_list() == first_met.to_list()


def test_the_log_lies_in_three_months_and_can_be_cut():
    read = nf.read_log(f"synthetic:{SHAPE}")
    times = read.events["timestamp"].to_numpy()
    first, last = synthetic.WINDOW
    assert first <= times.min() < first + 86_400
    assert last - 86_400 < times.max() < last
    cut = nf.read_log(f"synthetic:{SHAPE}", filters=nf.Filters(since="2024-03-01"))
    assert cut.n_events == (times >= 1_709_251_200).sum()
    assert [step.name for step in cut.steps] == ["time >= 2024-03-01"]
    parts = nf.split_by_time(read, "2024-03-01", "2024-03-15")
    assert parts.test.held_out.n_interactions > 1000


def test_settings_follow_the_shape():
    wanted = Synthetic(5000, 2000, 100_000, seed=3, clusters=40)
    assert Synthetic.parse("5000x2000x100000,seed=3,clusters=40") == wanted
    assert Synthetic.parse("5000X2000X100_000?seed=3&clusters=40") == wanted
    assert Synthetic.parse("ML_1M").users == 6034
    assert Synthetic.parse("msd,min_user=5") == replace(Synthetic.parse("msd"), min_user=5)
    for shape in SHAPES:
        assert Synthetic.parse(shape).interactions == SHAPES[shape]["interactions"]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_scaled_shape_keeps_its_activity(shape):
    whole, small = Synthetic.parse(shape), Synthetic.parse(f"{shape},scale=0.01,seed=4")
    assert small.users == round(whole.users / 100)
    assert small.items == round(whole.items / 10)
    assert (small.seed, small.min_user) == (4, whole.min_user)
    activity = [s.interactions / s.users for s in (whole, small)]
    assert activity[1] == pytest.approx(activity[0], rel=0.01)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("ml-20n", UnknownNameError, "did you mean 'ml-20m'.*USERSxITEMSxINTERACTIONS"),
        ("", UnknownNameError, "known: USERSxITEMSxINTERACTIONS, ml-1m"),
        ("5000x2000", SettingsError, "not a size .*as 5000x2000x100000, or one of ml-1m"),
        ("5000x_x9", SettingsError, "not a size"),
        ("ml-1m,sed=3", UnknownNameError, "did you mean 'seed'"),
        ("ml-1m,seed=x", SettingsError, "seed is 'x'; int was expected"),
        ("ml-1m,seed", SettingsError, "not of the form key=value"),
        ("50x20x501", SettingsError, "expected 250 .* to 500 .*half of all pairs"),
        ("50x20x249", SettingsError, "249 interactions .* expected 250 .5 per user, one per item"),
        ("500x9000x8999", SettingsError, "expected 9,000"),
        ("0x20x249", SettingsError, "users is 0"),
        ("50x6x150", SettingsError, "min_user is 5; .* at most 4"),
        ("1x1000x400", SettingsError, "too few for 1,000 items.*more users"),
        ("ml-1m,clusters=0", SettingsError, "clusters is 0; expected 1 to 3,533"),
        ("ml-1m,breadth=1.5", SettingsError, "breadth is 1.5"),
        ("ml-1m,spread=-1", SettingsError, "spread is -1"),
        ("ml-1m,scale=2", SettingsError, "scale is 2; a number above 0 and up to 1"),
    ],
)
def test_what_cannot_be_had_is_said_in_a_line(text, kind, message):
    with pytest.raises(kind, match=message) as caught:
        nf.read_log(f"synthetic:{text}")
    assert "\n" not in str(caught.value)


def test_there_is_nothing_to_fetch(tmp_path):
    assert "synthetic" in data_sets()
    for name in ("synthetic", "synthetic:ml-1m"):
        with pytest.raises(FetchError, match=r"generated, not fetched: give synthetic:SHAPE"):
            nf.fetch(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_it_is_a_name_and_no_file(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="not published split"):
        nf.read_parts(f"synthetic:{SHAPE}")
    with pytest.raises(SettingsError, match="leave out the format"):
        nf.read_log(f"synthetic:{SHAPE}", format="table")
    with pytest.raises(SettingsError, match="columns are fixed"):
        nf.read_log(f"synthetic:{SHAPE}", user="u")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "synthetic").mkdir()
    (tmp_path / "synthetic" / "ratings.csv").write_text("user,item\n1,2\n")
    assert nf.read_log("synthetic").n_events == 1
    with pytest.raises(DataError, match="not read from"):
        nf.read_log("synthetic", format="synthetic")


def test_every_command_that_takes_a_log_takes_its_name(tmp_path, capsys):
    name = "synthetic:300x100x4000,seed=3"
    assert run(["data", "inspect", name, "--quiet"]) == 0
    assert run(["data", "split", name, "--out", str(tmp_path / "split"), "--quiet"]) == 0
    assert nf.load_split(tmp_path / "split").protocol["log"] == name
    assert run(["train", "ease", "--data", name, "--out", str(tmp_path / "ease"), "--quiet"]) == 0
    assert run(["data", "fetch"]) == 0
    assert "nothing to fetch" in capsys.readouterr().out
    assert run(["data", "fetch", "synthetic"]) == 1
    assert "generated, not fetched" in capsys.readouterr().err
