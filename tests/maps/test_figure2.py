"""The paper's Figure 2 as a file and as numbers."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

from nearfar.core.errors import DataError, EmptyDataError, MissingExtraError, SettingsError
from nearfar.data.interactions import whole_histories
from nearfar.evaluation.evaluate import evaluate
from nearfar.maps.atlas import ModelToMap, encode, make_atlas
from nearfar.maps.cohorts import cohorts_by_interactions
from nearfar.maps.drawing import draw
from nearfar.maps.figure2 import figure2
from nearfar.maps.projections.pca import PCA
from nearfar.maps.table import distances_table, separability_table
from nearfar.metrics.ndcg import NDCG
from tests.maps.cases import Linear, split_of_sizes

SIZES = (2, 6, 18)
RNG = np.random.default_rng(0)
COUNTING = Linear(np.ones((40, 3)) + 0.05 * RNG.standard_normal((40, 3)))
"""mu is all but the number of interactions, so that cohorts lie along a line."""
MIXING = Linear(RNG.standard_normal((40, 3)))
MODELS = {"$clean$ & <one>": COUNTING, "mixed": MIXING}


def drawn(path: Path, **settings):
    return figure2(split_of_sizes(), MODELS, path, cohort_sizes=SIZES, projection="pca", **settings)


@pytest.fixture(scope="module")
def figure(tmp_path_factory) -> tuple[dict, str]:
    path = tmp_path_factory.mktemp("figure") / "figure2.svg"
    found = drawn(path, ndcg={"mixed": 0.25})
    return found, path.read_text()


def test_the_numbers_tell_the_two_models_apart(figure) -> None:
    found, _ = figure
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    counting, mixing = found["panels"].values()
    assert counting["silhouette"]["mean"] > 0.8 > mixing["silhouette"]["mean"]
    assert counting["knn_purity"]["mean"] == 1
    assert counting["knn_purity"]["chance"] == pytest.approx(29 / 89)
    assert counting["silhouette"]["n_sampled"] == found["n_users"] == 90
    assert counting["trustworthiness"]["value"] > 0.9
    assert counting["distances"]["by_size"] is True
    by_pair = {tuple(p["between"]): p["latent"] for p in counting["distances"]["pairs"]}
    names = [group["name"] for group in found["cohorts"]]
    assert names == [f"{size} interactions" for size in SIZES]
    assert by_pair[names[0], names[2]] == pytest.approx(16 * np.sqrt(3), rel=0.1)
    assert found["figure"] == "figure2.svg"


def test_the_svg_has_panels_and_one_legend(figure) -> None:
    _, svg = figure
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert texts.count("$clean$ &amp; &lt;one&gt;") == 1
    assert texts.count("mixed") == 1
    assert sum("NDCG@100 0.2500" in t for t in texts) == 1
    for size in SIZES:
        assert texts.count(f"{size} interactions: 30 users") == 1
    assert sum("silhouette" in t for t in texts) == 2
    # 90 users in each of two panels, and three points of the legend
    assert len(re.findall(r'<use [^>]*style="fill', svg)) >= 180


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first = drawn(tmp_path / "a.svg", ndcg={}, seed=4, max_users=60)
    second = drawn(tmp_path / "b.svg", ndcg={}, seed=4, max_users=60)
    assert first["panels"] == second["panels"]
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    other = drawn(tmp_path / "c.svg", ndcg={}, seed=5, max_users=60)
    assert other["panels"] != first["panels"]
    assert [g["n_drawn"] for g in first["cohorts"]] == [20, 20, 20]


def test_t_sne_numbers_are_those_of_the_seed(tmp_path: Path) -> None:
    found = [
        figure2(split_of_sizes(), {"a": MIXING}, tmp_path / f"{i}.png", cohort_sizes=SIZES, ndcg={})
        for i in range(2)
    ]
    assert found[0]["panels"] == found[1]["panels"]
    assert found[0]["projection"] == "t-SNE"
    assert (tmp_path / "0.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_ndcg_is_measured_on_the_test_users_where_it_is_not_given(tmp_path: Path) -> None:
    found = drawn(tmp_path / "f.png")
    split = split_of_sizes()
    for title, model in MODELS.items():
        measured = evaluate(model, split.test, [NDCG(100)]).mean(NDCG(100))
        assert 0 < measured < 1
        assert found["panels"][title]["NDCG@100"] == measured


def test_a_place_is_the_posterior_mean_of_the_whole_history() -> None:
    split = split_of_sizes()
    everyone = whole_histories(split)
    cohorts = cohorts_by_interactions(np.diff(everyone.x.indptr), SIZES)
    told: list[str] = []
    atlas = make_atlas(
        {"a": ModelToMap(COUNTING, everyone.item_ids)}, everyone, cohorts, PCA(), on_map=told.append
    )
    assert told == ["a"]
    x = everyone.x.toarray()[cohorts.rows]
    latents = x @ COUNTING.weights
    assert encode(COUNTING, atlas.users.x) == pytest.approx(latents, rel=1e-5)
    xy = atlas.maps[0].xy
    between = np.linalg.norm(xy[:, None] - xy, axis=2)
    direct = np.linalg.norm(latents[:, None] - latents, axis=2)
    # two principal components of three dimensions, all but one of which say nothing
    assert between == pytest.approx(direct, abs=0.5)
    # turned so that the cohorts lie from left to right
    means = [xy[cohorts.labels == c].mean(axis=0) for c in range(3)]
    assert means[0][0] < means[1][0] < means[2][0]
    assert means[0][1] == pytest.approx(means[2][1])


def test_tables_say_it_in_words() -> None:
    split = split_of_sizes()
    everyone = whole_histories(split)
    cohorts = cohorts_by_interactions(np.diff(everyone.x.indptr), SIZES)
    mapped = {title: ModelToMap(model, everyone.item_ids, 0.5) for title, model in MODELS.items()}
    atlas = make_atlas(mapped, everyone, cohorts, PCA())
    table = separability_table(atlas)
    assert [row[0] for row in table.rows] == list(MODELS)
    assert table.rows[0][1] == ".5000"
    assert table.rows[0][3] == "1.000 ±.000"
    table = distances_table(atlas)
    assert [row[0] for row in table.rows] == ["2 to 6", "6 to 18", "2 to 18"]
    assert table.header == ("cohorts", *MODELS, "input")


def test_what_cannot_be_drawn_is_refused_before_the_work(tmp_path: Path, monkeypatch) -> None:
    def never(*arguments, **settings):
        raise AssertionError("the work began")

    monkeypatch.setattr("nearfar.maps.figure2.make_atlas", never)
    with pytest.raises(SettingsError, match=r"ends in \.bmp; maps are drawn as \.png"):
        drawn(tmp_path / "map.bmp")
    with pytest.raises(SettingsError, match="no fitted model"):
        figure2(split_of_sizes(), {}, tmp_path / "map.png")
    real = importlib.util.find_spec
    for missing, name in (("matplotlib", "map.svg"), ("plotly", "map.html")):
        monkeypatch.setattr(
            "nearfar.core.extras.find_spec",
            lambda m, missing=missing: None if m == missing else real(m),
        )
        with pytest.raises(MissingExtraError, match=rf"{missing}.*pip install 'nearfar\[maps\]'"):
            drawn(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_models_of_other_items_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="39 items"):
        figure2(
            split_of_sizes(), {"a": Linear(np.ones((39, 2)))}, tmp_path / "a.png",
            cohort_sizes=SIZES, ndcg={}, projection="pca",
        )  # fmt: skip


def test_too_few_users_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EmptyDataError, match="6 users in all"):
        drawn(tmp_path / "a.png", max_users=6, ndcg={})


def test_many_points_are_pixels_in_a_vector_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("nearfar.pages.matplotlib.MAX_VECTOR_POINTS", 50)
    drawn(tmp_path / "a.svg", ndcg={})
    assert (tmp_path / "a.svg").read_text().count("<image") == 2


def test_every_format_is_drawn(tmp_path: Path) -> None:
    everyone = whole_histories(split_of_sizes())
    cohorts = cohorts_by_interactions(np.diff(everyone.x.indptr), SIZES)
    atlas = make_atlas({"a": ModelToMap(MIXING, everyone.item_ids)}, everyone, cohorts, PCA())
    for name, start in (("m.png", b"\x89PNG"), ("m.pdf", b"%PDF"), ("m.html", b"<!doctype html>")):
        draw(atlas, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
