"""Charts as a picture in a file."""

import re
from pathlib import Path

import numpy as np
import pytest

from nearfar.core.errors import SettingsError
from nearfar.pages.chart import (
    Axis,
    BarChart,
    Bars,
    Chart,
    Dot,
    DotChart,
    Label,
    Line,
    LineChart,
    Points,
    ScatterChart,
)
from nearfar.pages.matplotlib import check_picture, draw, write_picture

matplotlib = pytest.importorskip("matplotlib")

EVIL = "$a$ <b>"


def drawn(path: Path, *charts: Chart, **settings: str) -> tuple[str, list[str]]:
    write_picture(charts, path, **settings)
    svg = path.read_text()
    return svg, re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def lines(title: str, *names: str) -> LineChart:
    every = [Line(name, [0, 1, 2], [1.0, None, 3.0], number) for number, name in enumerate(names)]
    return LineChart(title, every, Axis("epoch", whole=True), Axis("y", from_zero=True))


def test_the_picture_names_charts_lines_and_axes_and_has_the_same_bytes(tmp_path: Path) -> None:
    charts = lines("Same", EVIL, "b"), lines("Differs", EVIL)
    svg, texts = drawn(tmp_path / "a.svg", *charts, title=EVIL)
    for text in ("Same", "Differs", "b", "epoch", "y"):
        assert text in texts
    assert texts.count("$a$ &lt;b&gt;") == 2  # the title, and one legend for both charts
    assert drawn(tmp_path / "b.svg", *charts, title=EVIL)[0] == svg


def test_charts_with_entries_of_their_own_have_legends_of_their_own(tmp_path: Path) -> None:
    _, texts = drawn(tmp_path / "a.svg", lines("One", "a", "b"), lines("Two", "a", "c"))
    assert [texts.count(name) for name in "abc"] == [2, 1, 1]


def test_a_notebook_is_given_a_picture_without_pyplot() -> None:
    shown = draw([lines("One", "a")])._repr_png_()  # pyright: ignore[reportAttributeAccessIssue]
    assert shown.startswith(b"\x89PNG")
    assert len(shown) > 5000


def test_ticks_of_epochs_are_whole_numbers_and_values_start_at_zero() -> None:
    figure = draw([lines("One", "a")])
    (axes,) = figure.axes
    assert all(float(tick).is_integer() for tick in axes.get_xticks())
    assert axes.get_ylim()[0] == 0


def test_points_are_not_joined_and_bars_have_their_categories(tmp_path: Path) -> None:
    mixed = LineChart("Users", [Line("users", (0.1, 0.5), (0.2, 0.4), points=True),
                                Line("equal", (0.0, 0.5), (0.0, 0.5), marked=0.5)])  # fmt: skip
    bars = BarChart("Parts", ("K$L$", "most"), [Bars("a", (9.0, 7.5), 0, (1.0, None)),
                                                Bars("b", (12.0, None))], at_most=20)  # fmt: skip
    svg, texts = drawn(tmp_path / "a.svg", mixed, bars)
    for expected in ("users", "equal", "a", "b", "K$L$", "most"):
        assert expected in texts
    joined = re.findall(r'<path d="([^"]*)"[^>]*stroke-width: 1.4', svg)
    assert len(joined) == 2  # the line and its sample in the legend; points are not joined
    (_, axes) = draw([mixed, bars]).axes
    assert axes.get_ylim() == pytest.approx((0, 1.03 * 12))


def test_dots_have_rows_intervals_and_published_values(tmp_path: Path) -> None:
    dots = [Dot(EVIL, 0.3, 0.1, 0.4, 1, 0.35), Dot("none", None)]
    charts = [DotChart(m, dots, colours={0: "plain", 1: "aligned"}) for m in ("Recall", "NDCG")]
    _, texts = drawn(tmp_path / "a.svg", *charts)
    assert texts.count("$a$ &lt;b&gt;") == 1  # names stand at the first chart
    assert "plain" not in texts  # no dot has its colour
    assert texts.count("aligned") == texts.count("published") == 1
    axes = draw(charts).axes[0]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first stands above
    assert [list(line.get_xdata()) for line in axes.lines[:3]] == [[0.1, 0.4], [0.3], [0.35]]


def test_points_and_labels_of_a_map(tmp_path: Path, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    cohorts = [Points(f"cohort {c}", rng.standard_normal((20, 2)), c) for c in range(2)]
    anchors = Points("anchor", rng.standard_normal((2, 2)), None, (), [Label(0, EVIL, left=True)])
    chart = ScatterChart("Map", [*cohorts, anchors], ["NDCG 0.4"])
    svg, texts = drawn(tmp_path / "a.svg", chart)
    assert texts == ["NDCG 0.4", "Map", "cohort 0", "cohort 1", "anchor"]
    assert [t.get_text() for t in draw([chart]).axes[0].texts] == [EVIL]
    assert "<image" not in svg
    monkeypatch.setattr("nearfar.pages.matplotlib.MAX_VECTOR_POINTS", 10)
    assert "<image" in drawn(tmp_path / "b.svg", chart)[0]


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\.txt"):
        check_picture(tmp_path / "x.txt")
    with pytest.raises(SettingsError, match="nothing to draw"):
        write_picture([], tmp_path / "x.png")


def test_named_positions_and_intervals_of_a_line() -> None:
    lines = [Line("", [0, 2], [0.1, 0.5], errors=[0.25, None])]
    x = Axis("beta", names=["0.01", "$1$", "20"])
    (axes,) = draw([LineChart("t", lines, x, Axis(span=(-1, 2)))]).axes
    assert axes.get_ylim() == (-1, 2)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.01", "$1$", "20"]
    (bars,) = axes.collections
    segments = [part for part in bars.get_segments() if len(part)]
    np.testing.assert_allclose(segments, [[[0, -0.15], [0, 0.35]]])
