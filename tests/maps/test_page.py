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
from nearfar.data.interactions import Interactions
from nearfar.maps import page
from nearfar.maps.anchors import Anchors
from nearfar.maps.atlas import Atlas, LatentMap, Mapped, make_atlas
from nearfar.maps.cohorts import cohorts_by_interactions
from nearfar.maps.page import maps_figure, shortened, write_page
from nearfar.maps.projections.pca import PCA
from nearfar.maps.users import whole_histories
from nearfar.pages.charts import as_words
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
        "first <map>": Mapped(Linear(rng.standard_normal((40, 3))), items, 0.4321),
        "second": Mapped(Linear(np.ones((40, 2))), items),
    }
    made = make_atlas(models, everyone, cohorts, PCA())
    first, second = made.maps
    anchors = Anchors(np.zeros((2, 2)), (EVIL, "Film 1"), second.numbers)
    with_anchors = LatentMap(second.title, second.xy, anchors, None, second.numbers)
    return Atlas(made.users, cohorts, made.projection, 0, (first, with_anchors))


@pytest.fixture(scope="module")
def html(atlas, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("page") / "map.html"
    write_page(atlas, path)
    return path.read_text(encoding="utf-8")


def test_nothing_is_fetched_and_nothing_can_be_sent(html: str) -> None:
    found = Page(html)
    found.check_asks_nothing_of_others()
    assert found.figures["maps-chart"]["config"]["showSendToCloud"] is False


def test_titles_cannot_break_out(html: str, atlas: Atlas) -> None:
    assert EVIL not in html
    figure = Page(html).figures["maps-chart"]
    told = [text for trace in figure["data"] for text in trace["text"]]
    assert any(as_words(EVIL) in text for text in told)
    assert not any(EVIL in text for text in told)


def test_every_user_has_words_and_every_cohort_one_place_in_the_legend(atlas: Atlas) -> None:
    figure = maps_figure(atlas)
    markers = [t for t in figure.data if t.name != "item anchor"]
    assert len(markers) == 6
    assert [t.name for t in markers if t.showlegend] == [
        f"{s} interactions: 30 users" for s in SIZES
    ]
    assert {t.legendgroup for t in markers[:3]} == {t.legendgroup for t in markers[3:]}
    assert sum(len(t.x) for t in markers) == 180
    x, names = atlas.users.x, page.item_names(atlas.users.item_ids, np.arange(40))
    popularity = atlas.users.item_counts
    lines = markers[1].text[4].split("<br>")
    history = x.indices[x.indptr[34] : x.indptr[35]]
    assert lines[:2] == ["6 interactions", "6 interactions"]
    expected = sorted(history, key=lambda i: (-popularity[i], i))
    assert lines[2:] == [as_words(names[i]) for i in expected]
    long = markers[2].text[0].split("<br>")
    assert long[1] == "18 interactions, among them"
    assert len(long) == 2 + page.N_TITLES
    assert np.allclose(np.stack([markers[1].x, markers[1].y]).T, atlas.maps[0].xy[30:60], atol=1e-4)


def test_anchors_have_their_titles(atlas: Atlas) -> None:
    (anchors,) = [t for t in maps_figure(atlas).data if t.name == "item anchor"]
    assert anchors.showlegend
    assert anchors.customdata == (as_words(EVIL), "Film 1")
    assert anchors.text == (as_words(shortened(EVIL)), "Film 1"), "names stand on the map"
    assert anchors.mode == "markers+text"
    assert shortened("A title that is much longer than a map has room for") == (
        "A title that is much lo…"
    )


def test_one_map_fills_the_width_of_the_page(atlas: Atlas) -> None:
    heights = [maps_figure(replace(atlas, maps=atlas.maps[:1] * n)).layout.height for n in (1, 3)]
    assert heights[0] > 700
    assert heights[1] < 600


def test_titles_and_numbers_stand_on_the_page(html: str, atlas: Atlas) -> None:
    words = Page(html).words
    assert "90 users" in words
    assert "first <map>" in words
    assert ".4321" in words
    assert "2 to 18" in words
    figure = maps_figure(atlas)
    assert [a.text for a in figure.layout.annotations] == ["first &lt;map&gt;", "second"]
    assert figure.layout.xaxis.title.text.startswith("NDCG@100 0.4321<br>silhouette")


def test_user_ids_are_not_told(html: str) -> None:
    data = json.dumps(Page(html).figures, ensure_ascii=False)
    assert not re.search(r"\bu\d+\b", data)


def test_of_many_users_a_sample_is_shown_and_the_page_says_so(
    atlas: Atlas, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(page, "MAX_POINTS", 50)
    monkeypatch.setattr(page, "WITH_WEBGL", 40)
    figure = maps_figure(atlas)
    markers = [t for t in figure.data if t.name != "item anchor"]
    assert sum(len(t.x) for t in markers) == 100
    assert {t.type for t in markers} == {"scattergl"}
    write_page(atlas, tmp_path / "map.html")
    assert "50 of them, drawn at random" in (tmp_path / "map.html").read_text()
