"""The few kinds of charts in a report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nearfar.maps.colours import colour_of
from nearfar.pages.charts import as_words

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

HEIGHT = 290
ROW_PIXELS = 34
LEGEND_ROW_PIXELS = 19
LEGEND_MARK_PIXELS = 45
LETTER_PIXELS = 6.5
PHONE_PIXELS = 320
"""Room that a legend has in a row on a phone, where it takes the most rows."""

TICKS = 8
FEW_POINTS = 30
"""A line of no more points than these shows them."""

NEUTRAL = "#8a8f98"
"""The colour of what is no bundle's; seen on white and on black."""

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
LABEL_LENGTH = 22


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Args:
        name: in the legend.
        x: positions, rising.
        y: values; None where there is none.
        colour: the number of its bundle; None for a line of no bundle, or of all.
        dash: the number of its pattern.
        marked: a position whose point is drawn large.
        points: its points are not joined.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    colour: int | None = 0
    dash: int = 0
    marked: float | None = None
    points: bool = False


@dataclass(frozen=True)
class Dot:
    """A value with its interval, in a row of its own."""

    name: str
    value: float
    low: float | None
    high: float | None
    colour: int = 0


@dataclass(frozen=True)
class Bars:
    """One value a category; `errors` are half the lengths of intervals, `colour` None is grey."""

    name: str
    values: Sequence[float | None]
    colour: int | None = None
    errors: Sequence[float | None] | None = None


def line_chart(
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    *,
    logarithmic: bool = False,
    whole: bool = False,
) -> Figure:
    """Lines with a legend below.

    Args:
        lines: what is drawn.
        x_label: of the horizontal axis.
        y_label: of the vertical axis.
        logarithmic: both axes are.
        whole: x counts something, as epochs: no tick stands between two whole numbers.
    """
    from plotly import graph_objects as go

    height = HEIGHT + _legend_pixels([line.name for line in lines])
    figure = go.Figure(layout=_layout(height, x_label, y_label))
    for line in lines:
        colour = _colour(line.colour)
        few = len(line.x) <= FEW_POINTS
        mode = "lines+markers" if few and not logarithmic else "lines"
        group = None if line.marked is None else line.name
        figure.add_scatter(
            x=list(line.x), y=list(map(_finite, line.y)), name=as_words(line.name),
            mode="markers" if line.points else mode,
            line={"color": colour, "width": 2, "dash": DASHES[line.dash % len(DASHES)]},
            marker={"size": 5}, legendgroup=group, showlegend=bool(line.name),
        )  # fmt: skip
        if line.marked is not None and line.marked in line.x:
            figure.add_scatter(
                x=[line.marked], y=[_finite(line.y[list(line.x).index(line.marked)])],
                mode="markers", marker={"color": colour, "size": 11}, showlegend=False,
                legendgroup=group, hoverinfo="skip",
            )  # fmt: skip
    if whole:
        last = max((max(line.x) for line in lines if len(line.x)), default=1)
        steps = (power * unit for power in (1, 10, 100, 1000) for unit in (1, 2, 5))
        step = next((step for step in steps if last <= TICKS * step), 10_000)
        figure.update_xaxes(tick0=0, dtick=step, tickformat="d")
    if logarithmic:
        figure.update_xaxes(type="log", dtick=1)
        figure.update_yaxes(type="log", dtick=1)
    return figure


def dot_chart(dots: Sequence[Dot], x_label: str, *, reference: float | None = None) -> Figure:
    """Values with their intervals one below the other; a line where the reference is."""
    from plotly import graph_objects as go

    figure = go.Figure(layout=_layout(90 + ROW_PIXELS * len(dots), x_label, ""))
    for row, dot in enumerate(dots):
        error = None
        if dot.low is not None and dot.high is not None:
            error = {
                "type": "data", "symmetric": False, "array": [dot.high - dot.value],
                "arrayminus": [dot.value - dot.low], "thickness": 2, "width": 5,
            }  # fmt: skip
        figure.add_scatter(
            x=[_finite(dot.value)], y=[row], error_x=error, mode="markers", showlegend=False,
            hovertemplate="%{x:.4f}",
            name=as_words(dot.name), marker={"color": colour_of(dot.colour), "size": 10},
        )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(dots))), ticktext=[as_words(short(d.name)) for d in dots],
        range=[len(dots) - 0.4, -0.6], showgrid=False, zeroline=False, ticklabelstandoff=6,
    )  # fmt: skip
    figure.update_xaxes(zeroline=False, nticks=6)
    if reference is not None:
        figure.add_vline(x=reference, line={"color": NEUTRAL, "width": 2, "dash": "dash"})
    return figure


def bar_chart(
    categories: Sequence[str], bars: Sequence[Bars], x_label: str, y_label: str, *,
    tick_format: str | None = None, at_most: float | None = None,
) -> Figure:  # fmt: skip
    """Bars side by side, category after category.

    Args:
        categories: their names, in lines that fit beside each other on a phone.
        bars: with the legend below where there are several.
        x_label: of the categories.
        y_label: of the values.
        tick_format: of the values, in D3's notation.
        at_most: no value can be higher; intervals are cut there, and at 0.
    """
    from plotly import graph_objects as go

    height = HEIGHT + _legend_pixels([each.name for each in bars])
    layout = {**_layout(height, x_label, y_label), "barmode": "group", "bargap": 0.25}
    figure = go.Figure(layout=layout)
    names = [as_words(c).replace("\n", "<br>") for c in categories]
    for each in bars:
        error = None
        if each.errors is not None:
            lengths = list(map(_finite, each.errors))
            error = {"type": "data", "array": lengths, "thickness": 1.5, "color": NEUTRAL}
        figure.add_bar(
            x=names, y=list(map(_finite, each.values)),
            name=as_words(each.name), error_y=error, showlegend=len(bars) > 1,
            marker={"color": _colour(each.colour)},
        )  # fmt: skip
    # Turned names would run into the legend, and those of two lines need more room above it.
    figure.update_xaxes(type="category", tickangle=0 if len(bars) > 1 else None)
    figure.update_layout(legend_y=-0.3)
    figure.update_yaxes(tickformat=tick_format)
    if at_most is not None:
        top = max(map(_top, bars), default=at_most)
        figure.update_yaxes(range=[0, 1.03 * min(at_most, top)])
    return figure


def _top(bars: Bars) -> float:
    """How high the values and their intervals reach."""
    errors = bars.errors or [None] * len(bars.values)
    ends = [
        (_finite(value) or 0) + (_finite(error) or 0)
        for value, error in zip(bars.values, errors, strict=True)
    ]
    return max(ends, default=0)


def lines_in_words(lines: Sequence[Line], x_label: str, y_label: str) -> str:
    """Where each line starts and ends and what it reaches, for readers who cannot see it."""
    told = [f"{y_label or 'value'} by {x_label}."]
    for line in lines:
        points = [(x, y) for x, y in zip(line.x, line.y, strict=True) if _finite(y) is not None]
        if not points:
            continue
        (x0, y0), (x1, y1) = points[0], points[-1]
        values = [float(y) for _, y in points if y is not None]
        told.append(
            f"{line.name or 'The line'}: from {y0:.4g} at {x0:g} to {y1:.4g} at {x1:g}, lowest "
            f"{min(values):.4g}, highest {max(values):.4g}."
        )
    return " ".join(told)


def short(name: str) -> str:
    """A name that leaves a chart on a phone some room."""
    return name if len(name) <= LABEL_LENGTH else f"{name[: LABEL_LENGTH - 1]}…"


def _layout(height: int, x_label: str, y_label: str) -> dict[str, Any]:
    return {
        "height": height,
        "margin": {"l": 45, "r": 15, "t": 28, "b": 40},
        # Else a finger that would scroll the page pulls at the chart.
        "dragmode": False,
        "legend": {"orientation": "h", "x": 0, "y": -0.22, "yanchor": "top"},
        "xaxis": {"title": {"text": as_words(x_label)}},
        "yaxis": {"title": {"text": as_words(y_label)}},
    }


def _legend_pixels(names: Sequence[str]) -> int:
    """What a legend takes on a phone, in columns as wide as the longest name."""
    column = LEGEND_MARK_PIXELS + LETTER_PIXELS * max(map(len, names), default=0)
    in_a_row = max(1, int(PHONE_PIXELS / column))
    return LEGEND_ROW_PIXELS * -(-len(names) // in_a_row)


def _colour(number: int | None) -> str:
    return NEUTRAL if number is None else colour_of(number)


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
