"""The map: one chart a model, its numbers, and words for models without a latent space."""

import numpy as np

from nearfar.maps.atlas import Atlas
from nearfar.report.sections.latent_map import section
from tests.pages.reading import Page, section_html
from tests.report.cases import EVIL, EVIL_NAME, plain_report, report


def test_each_model_has_a_map_of_its_own() -> None:
    found = Page(section_html(section(report())))
    atlas = report().atlas
    assert isinstance(atlas, Atlas)
    assert list(found.figures) == ["map-1", "map-2"]
    for figure in found.figures.values():
        users = [t for t in figure["data"] if t["name"] != "item anchor"]
        assert len(users) == 3
        assert figure["layout"]["dragmode"] is False
    assert [t["name"] for t in found.figures["map-2"]["data"]].count("item anchor") == 1
    assert found.figures["map-2"]["data"][-1]["meta"] == "ink"
    assert "silhouette" in found.words
    assert EVIL_NAME in found.words
    assert "pop is a bundle of popularity, which has no latent space" in found.words


def test_titles_are_words_on_hover() -> None:
    body = section_html(section(report()))
    assert EVIL not in body
    texts = [text for t in Page(body).figures["map-1"]["data"] for text in t["hovertext"]]
    escaped = EVIL.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert any(escaped in text for text in texts)
    assert not any("person-" in text for text in texts)


def test_places_are_those_of_the_atlas() -> None:
    atlas = report().atlas
    assert isinstance(atlas, Atlas)
    data = Page(section_html(section(report()))).figures["map-1"]["data"]
    n = sum(len(t["x"]) for t in data)
    assert n == atlas.cohorts.n_users
    assert np.isfinite(atlas.maps[0].xy).all()


def test_why_there_is_none() -> None:
    found = Page(section_html(section(plain_report("pop"))))
    assert "The map was left out." in found.words
    assert not found.figures
