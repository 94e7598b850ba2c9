"""Diagnostics: every number, meaning, note and curve of every finding is on the page."""

import math
from dataclasses import replace

from nearfar.pages.chart import LineChart
from nearfar.report.report import Report
from nearfar.report.sections.diagnostics import as_formula, curve_charts, section
from nearfar.theory.diagnosis import Diagnosis
from nearfar.theory.instrument import Curve, Finding, Number
from tests.pages.reading import Page, section_html
from tests.report.cases import plain_report, report

EVIL = "<b>meaning</b>"


def with_findings(findings: dict[str, dict[str, Finding]], **rest) -> Report:
    return replace(plain_report("pop", "plain"), diagnosis=Diagnosis(findings, **rest))


def read(report: Report) -> Page:
    return Page(section_html(section(report)))


def finding(**changed) -> Finding:
    numbers = (
        Number("hits", "pairs in reach", 0.25, "share", 0.01),
        Number("far", "distance", 3.5, "nats"),
        Number("none", "nothing", math.nan),
    )
    curves = (
        Curve("A chart", "near", "rho", "share", (0.1, 0.5), (0.2, math.nan)),
        Curve("A chart", "far", "rho", "share", (0.1, 0.5), (0.3, 0.4)),
        Curve("Another", "", "k", "nats", (1.0, 2.0), (5.0, 6.0)),
    )
    given = {"meaning": EVIL, "numbers": numbers, "curves": curves, "notes": ("A note.",)}
    return Finding("reach", "Sharing radius", "Theorem 2.3", **given | changed)


def test_a_finding_is_told_whole() -> None:
    numbers = (Number("hits", "pairs in reach", 0.5, "share"),)
    other = finding(meaning="Another meaning.", numbers=numbers)
    found = Page(
        section_html(section(with_findings({"reach": {"pop": other, "plain": finding()}})))
    )
    for words in (
        "Sharing radius", "Theorem 2.3", f"plain: {EVIL}", "pop: Another meaning.", "A note.",
        "25.0 ± 2.0 %", "50.0 %", "distance, nats", "3.5",
    ):  # fmt: skip
        assert words in found.words
    assert found.words.count("A note.") == 1
    assert not found.of("b")


def test_one_meaning_of_all_is_told_once() -> None:
    found = Page(
        section_html(section(with_findings({"reach": {"pop": finding(), "plain": finding()}})))
    )
    assert found.words.count(EVIL) == 1
    assert f"plain: {EVIL}" not in found.words


def test_curves_of_a_chart_are_lines_with_colours_of_bundles_and_dashes_of_names() -> None:
    moved = finding(curves=(Curve("A chart", "near", "rho", "share", (0.1, 0.5), (0.9, 0.9)),))
    found = Page(
        section_html(section(with_findings({"reach": {"pop": finding(), "plain": moved}})))
    )
    lines = found.figures["diagnostics-1"]["data"]
    assert [line["name"] for line in lines] == ["pop: near", "pop: far", "plain: near"]
    assert [line["line"]["color"] for line in lines] == ["#0072B2", "#0072B2", "#D55E00"]
    assert [line["line"]["dash"] for line in lines] == ["solid", "dash", "solid"]
    assert lines[0]["y"] == [0.2, None]
    assert "A chart" in found.words
    assert "Another" in found.words
    assert found.figures["diagnostics-2"]["layout"]["xaxis"]["title"]["text"] == "k"


def test_a_line_that_all_models_share_is_there_once() -> None:
    same = Curve("Same", "p", "x", "y", (0.0, 1.0), (1.0, 2.0))
    shared = Diagnosis({"one": {"a": finding(curves=(same,)), "b": finding(curves=(same,))}})
    (chart,) = curve_charts(shared)
    assert isinstance(chart, LineChart)
    assert [(line.name, line.colour) for line in chart.lines] == [("p", None)]
    differs = replace(same, y=(2.0, math.nan))
    found = Diagnosis({"one": {"a": finding(curves=(same,)), "b": finding(curves=(differs,))}})
    (chart,) = curve_charts(found)
    assert isinstance(chart, LineChart)
    assert [(line.name, line.colour) for line in chart.lines] == [("a: p", 0), ("b: p", 1)]


def test_points_are_not_joined_and_bars_are_of_categories() -> None:
    curves = (
        Curve("Users", "users", "predicted", "measured", (0.1, 0.5), (0.2, 0.4), "points"),
        Curve("Users", "equal", "predicted", "measured", (0.0, 0.5), (0.0, 0.5)),
        Curve("Parts", "", "of a user", "nats", (0.0, 1.0), (9.0, 7.5), "bars", ("KL", "I,\nmost")),
    )
    other = finding(curves=(replace(curves[2], y=(8.0, 1.0)),))
    page = with_findings({"reach": {"pop": finding(curves=curves), "plain": other}})
    found = Page(section_html(section(page)))
    users, equal = found.figures["diagnostics-1"]["data"]
    assert (users["mode"], equal["mode"]) == ("markers", "lines+markers")
    pop, plain = found.figures["diagnostics-2"]["data"]
    assert (pop["type"], pop["name"], pop["y"]) == ("bar", "pop", [9.0, 7.5])
    assert pop["x"] == ["KL", "I,<br>most"]
    assert plain["marker"]["color"] == "#D55E00"
    told = [attributes.get("aria-label") or "" for _, attributes in found.tags]
    assert "nats, of a user. pop: KL 9, I, most 7.5; plain: KL 8, I, most 1." in " ".join(told)


def test_what_could_not_be_measured_says_why() -> None:
    absent = Finding("reach", "Sharing radius", "Theorem 2.3", absent="it is a point")
    found = Page(
        section_html(section(with_findings({"reach": {"pop": absent, "plain": finding()}})))
    )
    assert "pop is not measured: it is a point." in found.words
    assert f"plain: {EVIL}" in found.words  # whose meaning it is
    alone = read(with_findings({"reach": {"pop": absent}}))
    assert not alone.of("table")


def test_neighbours_in_common_are_told() -> None:
    report_ = with_findings({"r": {"pop": finding()}}, neighbours={("pop", "plain"): 0.42})
    assert "42%" in Page(section_html(section(report_))).words


def test_why_there_are_none() -> None:
    assert "The diagnostics were left out." in section_html(section(plain_report("pop")))


def test_all_instruments_have_their_place() -> None:
    diagnosis = report().diagnosis
    assert isinstance(diagnosis, Diagnosis)
    found = Page(section_html(section(report())))
    for findings in diagnosis.findings.values():
        for one in findings.values():
            assert one.title in found.words
            assert as_formula(one.source) in found.words
            assert all(as_formula(number.label) in found.words for number in one.numbers)
            assert all(as_formula(curve.chart) in found.words for curve in one.curves)
    assert "||x_u" not in found.words
    assert "ease is a bundle of ease, which the theory does not cover." in found.words
