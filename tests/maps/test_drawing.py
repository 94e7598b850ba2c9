"""The page: one file, nothing fetched, words of a history on every point."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import Interactions, whole_histories
from nearfar.maps import drawing
from nearfar.maps.anchors import Anchors
from nearfar.maps.atlas import Atlas, LatentMap, ModelToMap, make_atlas
from nearfar.maps.cohorts import cohorts_by_interactions
from nearfar.maps.drawing import draw, map_charts
from nearfar.maps.projections.pca import PCA
from nearfar.pages.plotly import plain_text, plotly_figure
from tests.maps.cases import Linear, split_of_sizes
from tests.pages.reading import Page

SIZES = (2, 6, 18)
EVIL = '</script><a href="http://evil.example">x</a>'


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    everyone = whole_histories(split_of_sizes())
    titles = pl.DataFrame({"title": [EVIL] + [f"Film {i}" for i in range(1, 40)]})
    items = Vocabulary(everyone.item_ids.ids, titles)
    everyone = Interactions(everyone.x, everyone.user_ids, items)
    cohorts = cohorts_by_interactions(np.diff(everyone.x.indptr), SIZES)
    rng = np.random.default_rng(0)
    models = {
        "first <map>": ModelToMap(Linear(rng.standard_normal((40, 3))), items, 0.4321),
        "second": ModelToMap(Linear(np.ones((40, 2))), items),
    }
    made = make_atlas(models, everyone, cohorts, PCA())
    first, second = made.maps
    anchors = Anchors(np.zeros((2, 2)), (EVIL, "Film 1"), second.numbers)
    with_anchors = LatentMap(second.title, second.xy, anchors, None, second.numbers)
    return Atlas(made.users, cohorts, made.projection, 0, (first, with_anchors))


@pytest.fixture(scope="module")
def html(atlas, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("page") / "map.html"
    draw(atlas, path)
    return path.read_text(encoding="utf-8")


def test_nothing_is_fetched_and_nothing_can_be_sent(html: str) -> None:
    found = Page(html)
    found.check_asks_nothing_of_others()
    assert found.figures["maps-1"]["config"]["showSendToCloud"] is False


def test_titles_cannot_break_out(html: str, atlas: Atlas) -> None:
    assert EVIL not in html
    figures = Page(html).figures
    assert list(figures) == ["maps-1", "maps-2"]
    told = [text for f in figures.values() for trace in f["data"] for text in trace["hovertext"]]
    assert any(plain_text(EVIL) in text for text in told)
    assert not any(EVIL in text for text in told)


def test_every_user_has_words_and_stands_with_the_cohort(atlas: Atlas) -> None:
    first, second = map_charts(atlas, histories=True)
    cohorts = first.points
    assert [c.name for c in cohorts] == [f"{s} interactions: 30 users" for s in SIZES]
    assert [c.colour for c in cohorts] == [0, 1, 2] == [c.colour for c in second.points[:3]]
    assert sum(len(c.xy) for c in cohorts) == 90
    x, names = atlas.users.x, drawing.item_names(atlas.users.item_ids, np.arange(40))
    popularity = atlas.users.item_counts
    lines = cohorts[1].texts[4].split("\n")
    history = x.indices[x.indptr[34] : x.indptr[35]]
    assert lines[:2] == ["6 interactions", "6 interactions"]
    expected = sorted(history, key=lambda i: (-popularity[i], i))
    assert lines[2:] == [names[i] for i in expected]
    long = cohorts[2].texts[0].split("\n")
    assert long[1] == "18 interactions, among them"
    assert len(long) == 2 + drawing.N_TITLES
    assert np.array_equal(cohorts[1].xy, atlas.maps[0].xy[30:60])
    assert not map_charts(atlas)[0].points[0].texts  # a picture has no use for them


def test_anchors_have_their_titles(atlas: Atlas) -> None:
    anchors = map_charts(atlas)[1].points[-1]
    assert (anchors.name, anchors.colour) == ("item anchor", None)
    assert list(anchors.texts) == [f"anchor of {EVIL}", "anchor of Film 1"]
    (label,) = anchors.labels  # both are at one place, which has room for one name
    assert (label.place, label.text) == (0, EVIL[:31] + "…")


def test_names_of_anchors_stand_towards_the_middle(atlas: Atlas) -> None:
    apart = atlas.maps[1].xy[[0, -1]]  # the first and the last cohort lie left and right
    anchors = replace(atlas.maps[1].anchors, xy=apart)
    moved = replace(atlas, maps=(replace(atlas.maps[1], anchors=anchors),))
    labels = map_charts(moved)[0].points[-1].labels
    assert [(label.place, label.left) for label in labels] == [(0, False), (1, True)]


def test_titles_and_numbers_stand_on_the_page(html: str) -> None:
    words = Page(html).words
    assert "90 users" in words
    assert "first <map>" in words
    assert "NDCG@100 0.4321" in words
    assert "2 to 18" in words


def test_user_ids_are_not_told(html: str) -> None:
    data = json.dumps(Page(html).figures, ensure_ascii=False)
    assert not re.search(r"\bu\d+\b", data)


def test_of_many_users_a_sample_is_shown_and_the_page_says_so(
    atlas: Atlas, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(drawing, "MAX_POINTS", 50)
    monkeypatch.setattr("nearfar.pages.plotly.WEBGL_POINTS", 40)
    chart = map_charts(atlas, histories=True)[0]
    assert sum(len(each.xy) for each in chart.points) == 50
    assert {trace["type"] for trace in plotly_figure(chart)["data"]} == {"scattergl"}
    draw(atlas, tmp_path / "map.html")
    assert "50 of them, drawn at random" in (tmp_path / "map.html").read_text()
