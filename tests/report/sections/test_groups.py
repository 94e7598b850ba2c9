"""Groups: the paper's, and the means of their users."""

import pytest

from nearfar.metrics.recall import Recall
from nearfar.report.sections.groups import BOUNDS, section
from tests.pages.reading import Page, section_html
from tests.report.cases import plain_report


def test_bars_are_the_means_of_the_groups() -> None:
    found = Page(section_html(section(plain_report())))
    parts = plain_report().evaluations["ease"].groups(BOUNDS)
    bars = found.figures["groups-1"]["data"][1]
    assert bars["x"] == [f"{group}<br>({part.n_users})" for group, part in parts.items()]
    assert [str(group) for group in parts] == ["5-10", "11-50", "51-100", "101-"]
    means = [part.mean(Recall(20)) for part in parts.values()]
    assert bars["y"][:2] == pytest.approx(means[:2])
    assert bars["y"][2:] == [None, None]  # nobody has so many interactions
    interval = next(iter(parts.values())).interval(Recall(20))
    assert interval is not None
    assert bars["error_y"]["array"][0] == pytest.approx(interval.half_width)
    assert "users of pop are in no group" in found.words
