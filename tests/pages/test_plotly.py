"""Charts for a page: values where they belong, words for readers who cannot see."""

import math

import numpy as np
import pytest

from nearfar.pages.chart import (
    NEUTRAL,
    Axis,
    BarChart,
    Bars,
    Dot,
    DotChart,
    Label,
    Line,
    LineChart,
    Points,
    ScatterChart,
    shortened,
)
from nearfar.pages.plotly import plain_text, plotly_figure

EVIL = "<b>a</b>"


def test_lines_have_the_colours_and_dashes_of_their_numbers_and_gaps() -> None:
    lines = [
        Line(EVIL, [1, 2, 3], [0.1, math.nan, 0.3], 0, 1, marked=3),
        Line("", [1, 2], [1.0, None], None),
        Line("points", [1, 2], [1.0, 2.0], 1, points=True),
    ]
    figure = plotly_figure(LineChart("title", lines, Axis("epoch"), Axis("loss", from_zero=True)))
    first, mark, second, points = figure["data"]
    assert first["y"] == [0.1, None, 0.3]
    assert first["name"] == "&lt;b&gt;a&lt;/b&gt;"
    assert (first["line"]["color"], first["line"]["dash"]) == ("#0072B2", "dash")
    assert (mark["x"], mark["y"]) == ([3], [0.3])
    assert second["line"]["color"] == NEUTRAL
    assert second["showlegend"] is False
    assert points["mode"] == "markers"
    assert figure["layout"]["xaxis"]["title"]["text"] == "epoch"
    assert figure["layout"]["yaxis"]["rangemode"] == "tozero"
    assert figure["layout"]["dragmode"] is False


def test_a_figure_can_be_zoomed_only_where_that_is_asked_for_and_sends_nothing() -> None:
    chart = LineChart("title", [Line("a", [1], [1.0])])
    assert plotly_figure(chart)["config"]["scrollZoom"] is False
    zoomed = plotly_figure(chart, zoom=True)
    assert zoomed["config"]["scrollZoom"] is True
    assert zoomed["layout"]["dragmode"] == "pan"
    assert zoomed["config"]["showSendToCloud"] is False


def test_dots_stand_in_their_rows_with_both_ends() -> None:
    dots = [Dot("a", 0.3, 0.1, 0.4, 0), Dot("b", 0.2, colour=1, published=0.25)]
    chart = DotChart("gain", dots, Axis("x"), reference=0.0)
    figure = plotly_figure(chart)
    a, b, published = figure["data"]
    assert (a["x"], a["y"]) == ([0.3], [0])
    assert a["error_x"]["array"] == pytest.approx([0.1])
    assert a["error_x"]["arrayminus"] == pytest.approx([0.2])
    assert "error_x" not in b
    assert (published["x"], published["y"]) == ([0.25], [1])
    assert figure["layout"]["shapes"][0]["x0"] == 0
    low, high = figure["layout"]["yaxis"]["range"]
    assert low > high  # the first stands above
    assert chart.words() == "gain: a 0.3000 (0.1000 to 0.4000); b 0.2000."


def test_bars_keep_categories_and_leave_out_what_there_is_not() -> None:
    bars = [Bars("x", [0.5, math.nan], None, [0.1, None]), Bars("y", [0.1, 0.2], 1)]
    chart = BarChart("t", ["5-10\n(3)", "11-50"], bars, Axis("group"), Axis("share", percent=True))
    figure = plotly_figure(chart)
    first, second = figure["data"]
    assert (first["x"], first["y"]) == (["5-10<br>(3)", "11-50"], [0.5, None])
    assert first["marker"]["color"] == NEUTRAL
    assert first["error_y"]["array"] == [0.1, None]
    assert second["marker"]["color"] == "#D55E00"
    assert figure["layout"]["yaxis"]["tickformat"] == ".0%"
    assert chart.words() == "share, group. x: 5-10 (3) 50%; y: 5-10 (3) 10%, 11-50 20%."


@pytest.mark.parametrize(("errors", "top"), [([0.1, 0.2], 0.7), ([0.1, 0.9], 1.0), (None, 0.5)])
def test_intervals_beyond_what_there_can_be_do_not_flatten_the_bars(errors, top: float) -> None:
    chart = BarChart("t", ["a", "b"], [Bars("x", [0.3, 0.5], 0, errors)], at_most=1.0)
    assert plotly_figure(chart)["layout"]["yaxis"]["range"] == [0, pytest.approx(1.03 * top)]


def test_points_have_words_and_labels_and_no_height_of_their_own() -> None:
    users = Points("users", np.array([[0.0, 1.0], [2.0, 3.0]]), 1, [f"{EVIL}\nmore", "b"])
    anchors = Points("anchors", np.array([[5.0, 5.0]]), None, ["c"], [Label(0, EVIL, left=True)])
    figure = plotly_figure(ScatterChart("map", [users, anchors], ["NDCG 0.4"]))
    first, second = figure["data"]
    assert (first["x"], first["y"]) == ([0.0, 2.0], [1.0, 3.0])
    assert first["hovertext"] == [f"{plain_text(EVIL)}<br>more", "b"]
    assert second["text"] == [plain_text(EVIL)]
    assert second["textposition"] == ["top left"]
    assert second["meta"] == "ink"
    assert "height" not in figure["layout"]
    assert figure["layout"]["yaxis"]["scaleanchor"] == "x"


def test_lines_are_told_in_words() -> None:
    chart = LineChart("t", [Line("plain", [1, 2, 3], [0.1, 0.5, 0.2])], Axis("epoch"), Axis("NDCG"))
    told = chart.words()
    assert told == "NDCG by epoch. plain: from 0.1 at 1 to 0.2 at 3, lowest 0.1, highest 0.5."
    assert LineChart("t", [Line("a", [1], [None])], Axis("x")).words() == "value by x."


@pytest.mark.parametrize("text", ["<b>a</b>", "a & b", '"quoted"', "it's", "&lt;", "$x$"])
def test_words_are_left_to_plotly_as_plain_text(text: str) -> None:
    """Plotly knows &lt; &gt; &amp; and numbers, but not &quot;."""
    shown = plain_text(text)
    assert shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text
    assert "<" not in shown


def test_long_names_are_cut() -> None:
    assert shortened("a" * 22, 22) == "a" * 22
    assert shortened("a" * 20 + " bc", 22) == "a" * 20 + "…"


def test_named_positions_and_intervals_of_a_line() -> None:
    line = Line("", [0, 2], [0.1, 0.5], errors=[0.25, None])
    chart = LineChart("t", [line], Axis("beta", names=["0.01", "<b>", "20"]), Axis(span=(-1, 2)))
    figure = plotly_figure(chart)
    assert figure["layout"]["yaxis"]["range"] == [-1, 2]
    assert figure["data"][0]["error_y"]["array"] == [0.25, None]
    axis = figure["layout"]["xaxis"]
    assert (axis["tickvals"], axis["ticktext"]) == ([0, 1, 2], ["0.01", "&lt;b&gt;", "20"])
    assert "from 0.1 at 0.01 to 0.5 at 20" in chart.words()
