"""The data at a glance: counts that a reader can check."""

import numpy as np

from nearfar.report.sections.data import section
from tests.pages.reading import Page, section_html
from tests.report.cases import EVIL, plain_report, split


def page() -> Page:
    return Page(section_html(section(split(), plain_report().everyone)))


def test_counts_and_quantiles_are_those_of_the_data() -> None:
    words = page().words
    everyone, train = plain_report().everyone, split().train
    assert f"200 users, 60 items and {everyone.n_interactions:,} interactions" in words
    assert f"{train.n_interactions / (120 * 60):.2%}" in words
    for part in (split().validation, split().test):
        assert f"{part.held_out.n_interactions:,}" in words
    assert "counts.test.users" in words


def test_every_user_is_in_one_bar() -> None:
    found = page()
    (bars,) = found.figures["data-1"]["data"]
    assert sum(bars["y"]) == 200
    activity = np.diff(plain_report().everyone.x.indptr)
    expected = {"3-4": (3, 4), "5-8": (5, 8), "9-16": (9, 16), "17-32": (17, 32)}
    shown = dict(zip(bars["x"], bars["y"], strict=True))
    assert shown == {
        name: int(((activity >= low) & (activity <= high)).sum())
        for name, (low, high) in expected.items()
    }


def test_popularity_falls_from_the_most_popular_item() -> None:
    (line,) = page().figures["data-2"]["data"]
    counts = np.sort(split().train.item_counts)[::-1]
    assert line["x"][0] == 1
    assert line["y"] == [counts[rank - 1] for rank in line["x"]]


def test_hostile_titles_are_words() -> None:
    found = page()
    assert EVIL in found.words
    assert not [t for t in found.of("script") if t.get("type") != "application/json"]
    assert not found.of("b")
