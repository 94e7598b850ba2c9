"""Quality: means, gains and tests are those of the evaluation."""

from dataclasses import replace

import pytest

from nearfar.evaluation.paired import compare
from nearfar.metrics.ndcg import NDCG
from nearfar.report.report import Report
from nearfar.report.sections.quality import section
from tests.pages.reading import Page, section_html
from tests.report.cases import plain_report


def test_dots_are_means_with_their_intervals() -> None:
    found = Page(section_html(section(plain_report())))
    evaluations = plain_report().evaluations
    dots = found.figures["quality-3"]["data"]
    assert [d["x"][0] for d in dots] == [e.mean(NDCG(100)) for e in evaluations.values()]
    interval = evaluations["pop"].interval(NDCG(100))
    assert interval is not None
    assert dots[0]["error_x"]["array"][0] == pytest.approx(interval.half_width)


def test_gains_are_over_the_first_bundle() -> None:
    found = Page(section_html(section(plain_report())))
    evaluations = plain_report().evaluations
    pair = compare(evaluations["pop"], evaluations["ease"], NDCG(100))
    first = found.figures["quality-6"]["data"][0]
    assert (first["name"], first["x"]) == ("ease", [pair.difference])
    assert "Gain over pop, user by user" in found.words
    assert "p Holm" in found.words


def test_one_bundle_has_no_gain() -> None:
    found = Page(section_html(section(plain_report("ease"))))
    assert list(found.figures) == ["quality-1", "quality-2", "quality-3"]
    assert "Gain over" not in found.words


def test_bundles_with_other_items_to_find_are_not_compared() -> None:
    report = plain_report("pop", "ease")
    ease = report.measured["ease"]
    other = replace(ease, test=replace(ease.test, n_held_out=ease.test.n_held_out + 1))
    changed = Report(
        report.split, report.everyone, {"pop": report.measured["pop"], "ease": other}, "", ""
    )
    words = Page(section_html(section(changed))).words
    assert "cannot be compared user by user" in words
    assert "Test users" in words
