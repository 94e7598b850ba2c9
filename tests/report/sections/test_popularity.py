"""Popularity: tenths of the items, and shares that add up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.report.sections.popularity import section, shares, tenths
from tests.pages.reading import Page, section_html
from tests.report.cases import plain_report


@given(st.lists(st.integers(0, 50), min_size=1, max_size=200))
def test_tenths_are_of_one_size_and_in_order(counts: list[int]) -> None:
    found = tenths(np.array(counts))
    sizes = np.bincount(found, minlength=10)
    assert sizes.max() - sizes.min() <= 1
    for a, b in zip(range(9), range(1, 10), strict=True):
        first, second = np.array(counts)[found == a], np.array(counts)[found == b]
        assert not len(first) or not len(second) or first.min() >= second.max()


def test_shares_are_of_what_was_chosen_and_shown() -> None:
    (training, to_find), shown = shares(plain_report())
    counts = plain_report().split.train.item_counts
    top = np.argsort(-counts, kind="stable")[:6]
    assert training.of_tenth[0] == pytest.approx(counts[top].sum() / counts.sum())
    held_out = plain_report().split.test.held_out.item_counts
    assert to_find.of_tenth[0] == pytest.approx(held_out[top].sum() / held_out.sum())
    assert [one.name for one in shown] == list(plain_report().measured)
    for one in (training, to_find, *shown):
        assert one.of_tenth.sum() == pytest.approx(1)
    pop, ease = shown[:2]
    assert pop.of_tenth[0] > ease.of_tenth[0] > 0  # popularity shows the popular most


def test_the_page_tells_coverage_and_shares() -> None:
    found = Page(section_html(section(plain_report())))
    for word in ("Coverage@20", "Gini@20", "Novelty@20", "the most popular first"):
        assert word in found.words
    (to_find, *bundles) = found.figures["popularity-1"]["data"]
    assert to_find["name"] == "to find"
    assert len(bundles) == 4
    assert sum(bundles[1]["y"]) == pytest.approx(1)
