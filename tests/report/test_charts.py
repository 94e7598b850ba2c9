"""Charts: values where they belong, intervals on both sides, words for who cannot see."""

import math

import pytest

from nearfar.report.charts import (
    NEUTRAL,
    Bars,
    Dot,
    Line,
    bar_chart,
    dot_chart,
    line_chart,
    lines_in_words,
    short,
)

EVIL = "<b>a</b>"


def test_lines_have_the_colours_and_dashes_of_their_numbers_and_gaps() -> None:
    lines = [
        Line(EVIL, [1, 2, 3], [0.1, math.nan, 0.3], 0, 1, marked=3),
        Line("", [1, 2], [1.0, None], None),
    ]
    figure = line_chart(lines, "epoch", "loss").to_plotly_json()
    first, mark, second = figure["data"]
    assert first["y"] == [0.1, None, 0.3]
    assert first["name"] == "&lt;b&gt;a&lt;/b&gt;"
    assert (first["line"]["color"], first["line"]["dash"]) == ("#0072B2", "dash")
    assert (list(mark["x"]), list(mark["y"])) == ([3], [0.3])
    assert second["line"]["color"] == NEUTRAL
    assert second["showlegend"] is False
    assert figure["layout"]["xaxis"]["title"]["text"] == "epoch"
    assert figure["layout"]["dragmode"] is False


def test_dots_stand_in_their_rows_with_both_ends() -> None:
    dots = [Dot("a", 0.3, 0.1, 0.4, 0), Dot("b", 0.2, None, None, 1)]
    figure = dot_chart(dots, "gain", reference=0.0).to_plotly_json()
    a, b = figure["data"]
    assert (list(a["x"]), list(a["y"])) == ([0.3], [0])
    assert a["error_x"]["array"] == pytest.approx([0.1])
    assert a["error_x"]["arrayminus"] == pytest.approx([0.2])
    assert "error_x" not in b
    assert figure["layout"]["shapes"][0]["x0"] == 0
    low, high = figure["layout"]["yaxis"]["range"]
    assert low > high  # the first stands above


def test_bars_keep_categories_and_leave_out_what_there_is_not() -> None:
    bars = [Bars("x", [0.5, math.nan], None, [0.1, None]), Bars("y", [0.1, 0.2], 1)]
    figure = bar_chart(["5-10", "11-50"], bars, "group", "share", tick_format=".0%")
    first, second = figure.to_plotly_json()["data"]
    assert (list(first["x"]), list(first["y"])) == (["5-10", "11-50"], [0.5, None])
    assert first["marker"]["color"] == NEUTRAL
    assert list(first["error_y"]["array"]) == [0.1, None]
    assert second["marker"]["color"] == "#D55E00"


@pytest.mark.parametrize(("errors", "top"), [([0.1, 0.2], 0.7), ([0.1, 0.9], 1.0), (None, 0.5)])
def test_intervals_beyond_what_there_can_be_do_not_flatten_the_bars(errors, top: float) -> None:
    figure = bar_chart(["a", "b"], [Bars("x", [0.3, 0.5], 0, errors)], "g", "share", at_most=1.0)
    assert figure.to_plotly_json()["layout"]["yaxis"]["range"] == [0, pytest.approx(1.03 * top)]


def test_lines_are_told_in_words() -> None:
    told = lines_in_words([Line("plain", [1, 2, 3], [0.1, 0.5, 0.2])], "epoch", "NDCG")
    assert told == ("NDCG by epoch. plain: from 0.1 at 1 to 0.2 at 3, lowest 0.1, highest 0.5.")
    assert lines_in_words([Line("a", [1], [None])], "x", "") == "value by x."


def test_long_names_are_cut() -> None:
    assert short("a" * 22) == "a" * 22
    assert short("a" * 23) == "a" * 21 + "…"
