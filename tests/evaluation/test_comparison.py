"""Many models compared in one call, and what is handed to Polars and pandas."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import nearfar as nf
from nearfar.core.errors import SettingsError, UnknownNameError


@pytest.fixture(scope="module")
def split() -> nf.Split:
    rng = np.random.default_rng(0)
    rows = [(u, 20 * (u % 2) + i) for u in range(120) for i in np.flatnonzero(rng.random(20) < 0.4)]
    frame = pl.DataFrame(rows, schema=["user", "item"], orient="row")
    items = pl.DataFrame({"item": range(40), "title": [f"Film {i}" for i in range(40)]})
    return nf.split_strong(nf.read_log(frame, items=items), 30)


@pytest.fixture(scope="module")
def models(split: nf.Split) -> list[nf.Model]:
    return [a.fit(split.train) for a in (nf.Popularity(), nf.EASE(l2=10), nf.EASE(l2=1e6))]


def test_models_are_called_after_algorithm_and_settings(models, split) -> None:
    found = nf.compare(models, split.test)
    assert found.models == ["Popularity", "EASE(l2=10)", "EASE(l2=1e+06)"]
    assert nf.evaluate(models[1], split.test).name == "EASE(l2=10)"
    same = nf.compare([models[1], models[1]], split.test)
    assert same.models == ["EASE(l2=10) 1", "EASE(l2=10) 2"]
    nested = nf.MultVAE(alignment=nf.PIA(), prior=nf.priors.Mixture(components=3), epochs=7)
    from nearfar.algorithms.label import label_of

    assert label_of(nested) == "MultVAE(epochs=7, alignment=PIA, prior=Mixture(components=3))"


def test_a_label_outlives_the_bundle(models, split, tmp_path) -> None:
    bundle = nf.Bundle.of(models[1], nf.EASE(l2=10), split.train)
    nf.save_bundle(bundle, tmp_path / "b")
    assert nf.load_bundle(tmp_path / "b").model.label == "EASE(l2=10)"


def test_the_table_and_its_frames_say_what_evaluations_and_tests_say(models, split) -> None:
    found = nf.compare(models, split.test, ["NDCG@10", "Coverage@10"])
    text = str(found)
    assert "EASE(l2=10)" in text
    assert "gain over Popularity, user by user" in text
    assert "p Holm" in text
    assert found._repr_html_().count("<table>") == 2
    frame = found.to_polars()
    assert frame.height == 6
    rows = {row["model"]: row for row in frame.rows(named=True) if row["metric"] == "NDCG@10"}
    row, base = rows["EASE(l2=10)"], rows["Popularity"]
    plain = {
        m: nf.evaluate(m_, split.test, ["NDCG@10"]) for m, m_ in zip("pe", models, strict=False)
    }
    pair = nf.compare(plain["p"], plain["e"], "NDCG@10")
    assert row["mean"] == plain["e"].mean("NDCG@10")
    assert row["difference"] == pytest.approx(pair.difference)
    assert row["p"] == pair.p
    assert row["p_holm"] >= row["p"]
    assert base["difference"] is None
    pandas = found.to_pandas()
    assert list(pandas.columns) == frame.columns
    assert pandas["mean"].tolist() == frame["mean"].to_list()


def test_the_level_that_is_asked_for_is_the_one_that_is_printed(models, split) -> None:
    found = nf.compare(models, split.test, ["NDCG@10"], level=0.8)
    assert str(found).count("80% interval") == 2
    assert "95%" not in str(found)
    row = found.to_polars().row(0, named=True)
    interval = found[row["model"]].interval("NDCG@10", 0.8)
    assert (row["low"], row["high"]) == (interval.low, interval.high)
    resampled = nf.compare(models, split.test, ["NDCG@10"], method="permutation")
    assert "p by the paired permutation test" in str(resampled)


def test_one_model_has_nothing_to_gain_over(models, split) -> None:
    assert "gain over" not in str(nf.compare(models[:1], split.test, ["NDCG@10"]))


def test_names_and_baseline(models, split) -> None:
    found = nf.compare({"old": models[0], "new": models[1]}, split.test, baseline="new")
    assert {pair.a for pair in found.pairs} == {"new"}
    with pytest.raises(UnknownNameError, match="old"):
        nf.compare({"old": models[0]}, split.test, baseline="odl")
    with pytest.raises(SettingsError, match="models is empty"):
        nf.compare([], split.test)
    with pytest.raises(SettingsError, match=r"split\.test"):
        nf.compare(models)
    evaluations = [nf.evaluate(m, split.test) for m in models]
    assert nf.compare(evaluations).models == found_names(models)


def found_names(models: list[nf.Model]) -> list[str | None]:
    return [m.label for m in models]


def test_evaluations_as_frames(models, split) -> None:
    found = nf.evaluate(models[1], split.test, ["NDCG@10", "Coverage@10"])
    frame = found.to_polars()
    assert frame["metric"].to_list() == ["NDCG@10", "Coverage@10"]
    assert frame["low"].to_list()[1] is None
    users = found.to_polars(per_user=True)
    assert users["NDCG@10"].to_list() == found.values("NDCG@10").tolist()
    assert users["user"].to_list() == found.user_ids.ids.to_list()
    assert len(found.to_pandas(per_user=True)) == users.height


def test_rankings_as_frames(models, split) -> None:
    ranking = models[1].top_k(split.test.fold_in.x, 3)
    ids = split.train.item_ids
    frame = ranking.to_polars(ids, split.test.fold_in.user_ids)
    assert frame.columns == ["user", "rank", "item", "title", "score"]
    first = frame.row(0, named=True)
    assert first["item"] == ids.ids[int(ranking.items[0, 0])]
    assert first["title"] == f"Film {first['item']}"
    assert ranking.to_polars()["item"][0] == ranking.items[0, 0]
    assert len(ranking.to_pandas(ids)) == frame.height
    with pytest.raises(nf.NearfarError, match="user ids for a ranking"):
        ranking.to_polars(ids, ids)


def test_short_reprs_name_the_sizes(models, split) -> None:
    assert repr(split).startswith("Split(60 training users, 30 validation users, 30 test users, 40")
    assert repr(models[1]) == "EASE(l2=10)(kind: ItemItem, 40 items, 60 training users)"
    assert "<table>" in split._repr_html_()
    assert "<th" in models[1]._repr_html_()
    assert repr(split.train).startswith("Interactions(60 users, 40 items, ")
    assert repr(split.test).startswith("FoldIn test(30 users, 40 items, ")
    assert repr(models[0].top_k(split.test.fold_in.x, 3)) == "Ranking(30 users, 3 places)"
