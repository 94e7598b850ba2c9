"""Convert charts to Plotly's JSON, which the script of a page draws."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from html import escape
from typing import Any

from nearfar.evaluation.text import finite
from nearfar.pages.chart import (
    FEW_POINTS,
    NEUTRAL,
    Axis,
    BarChart,
    Chart,
    DotChart,
    Line,
    LineChart,
    Points,
    ScatterChart,
    colour_of,
    finite_values,
    shortened,
)

INK = "ink"
"""Value of a trace's `meta` that gives its markers the colour of the page's text."""

CONFIG = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
    "responsive": True,
    "showSendToCloud": False,  # Plotly's default button would upload the chart
}

WEBGL_POINTS = 4_000
"""Charts with more points than this are drawn by WebGL."""

HEIGHT = 290
ROW_PIXELS = 34
LEGEND_ROW_PIXELS = 19
LEGEND_MARK_PIXELS = 45
LETTER_PIXELS = 6.5
PHONE_PIXELS = 320
"""Width of a legend on a phone, where it needs the most rows."""

TICKS = 8
LABEL_LENGTH = 22
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
BARE = {"showticklabels": False, "showgrid": False, "zeroline": False, "ticks": ""}


def plotly_figure(chart: Chart, *, zoom: bool = False) -> dict[str, Any]:
    """Return a chart as Plotly's JSON; colours of text and grid are left to the page.

    Args:
        chart: the chart.
        zoom: whether the wheel and touch zoom and move the chart instead of scrolling the page.
    """
    data, layout = _data_and_layout(chart)
    layout["dragmode"] = "pan" if zoom else False
    return {"data": data, "layout": layout, "config": {**CONFIG, "scrollZoom": zoom}}


def plain_text(text: str) -> str:
    """Escape a text, so that Plotly shows tags and entities literally."""
    return escape(text, quote=False)


DataAndLayout = tuple[list[dict[str, Any]], dict[str, Any]]


@singledispatch
def _data_and_layout(chart: Chart) -> DataAndLayout:
    raise NotImplementedError(type(chart).__name__)


@_data_and_layout.register(LineChart)
def _lines(chart: LineChart) -> DataAndLayout:
    traces = [trace for line in chart.lines for trace in _line(line, chart.x.logarithmic)]
    last = max((max(line.x) for line in chart.lines if len(line.x)), default=1)
    height = HEIGHT + _legend_pixels([line.name for line in chart.lines])
    return traces, _layout(height, _axis(chart.x, last), _axis(chart.y))


def _line(line: Line, logarithmic: bool) -> list[dict[str, Any]]:
    colour = colour_of(line.colour)
    joined = "lines+markers" if len(line.x) <= FEW_POINTS and not logarithmic else "lines"
    trace = {
        "type": "scatter", "x": list(line.x), "y": finite_values(line.y),
        "name": plain_text(line.name), "mode": "markers" if line.points else joined,
        "line": {"color": colour, "width": 2, "dash": DASHES[line.dash % len(DASHES)]},
        "marker": {"size": 5, "color": colour}, "showlegend": bool(line.name),
    }  # fmt: skip
    if line.errors is not None:
        lengths = finite_values(line.errors)
        trace["error_y"] = {"type": "data", "array": lengths, "thickness": 1.5}
    if line.marked is None or line.marked not in line.x:
        return [trace]
    mark = {
        "type": "scatter", "x": [line.marked], "mode": "markers", "showlegend": False,
        "y": [finite(line.y[list(line.x).index(line.marked)])], "hoverinfo": "skip",
        "marker": {"color": colour, "size": 11}, "legendgroup": line.name,
    }  # fmt: skip
    return [{**trace, "legendgroup": line.name}, mark]


@_data_and_layout.register(DotChart)
def _dots(chart: DotChart) -> DataAndLayout:
    traces = []
    for row, dot in enumerate(chart.dots):
        trace = {
            "type": "scatter", "x": [finite(dot.value)], "y": [row], "mode": "markers",
            "name": plain_text(dot.name), "showlegend": False, "hovertemplate": "%{x:.4f}",
            "marker": {"color": colour_of(dot.colour), "size": 10},
        }  # fmt: skip
        traces.append(trace)
        if dot.published is not None:
            marker = {"color": NEUTRAL, "size": 9, "symbol": "diamond-open"}
            traces.append({**trace, "x": [dot.published], "marker": marker})
        if dot.value is not None and dot.low is not None and dot.high is not None:
            trace["error_x"] = {
                "type": "data", "symmetric": False, "array": [dot.high - dot.value],
                "arrayminus": [dot.value - dot.low], "thickness": 2, "width": 5,
            }  # fmt: skip
    names = [plain_text(shortened(dot.name, LABEL_LENGTH)) for dot in chart.dots]
    rows = {
        "tickvals": list(range(len(names))), "ticktext": names, "range": [len(names) - 0.4, -0.6],
        "showgrid": False, "zeroline": False, "ticklabelstandoff": 6,
    }  # fmt: skip
    layout = _layout(
        90 + ROW_PIXELS * len(names), {**_axis(chart.x), "zeroline": False, "nticks": 6}, rows
    )
    if chart.reference is not None:
        layout["shapes"] = [{
            "type": "line", "x0": chart.reference, "x1": chart.reference, "y0": 0, "y1": 1,
            "yref": "y domain", "line": {"color": NEUTRAL, "width": 2, "dash": "dash"},
        }]  # fmt: skip
    return traces, layout


@_data_and_layout.register(BarChart)
def _bars(chart: BarChart) -> DataAndLayout:
    several = len(chart.bars) > 1
    names = [plain_text(name).replace("\n", "<br>") for name in chart.categories]
    traces = []
    for bars in chart.bars:
        trace = {
            "type": "bar", "x": names, "y": finite_values(bars.values),
            "name": plain_text(bars.name), "showlegend": several,
            "marker": {"color": colour_of(bars.colour)},
        }  # fmt: skip
        if bars.errors is not None:
            lengths = finite_values(bars.errors)
            trace["error_y"] = {
                "type": "data",
                "array": lengths,
                "thickness": 1.5,
                "color": NEUTRAL,
            }
        traces.append(trace)
    # Rotated names would overlap the legend, and names of two lines need more room above it.
    x = {**_axis(chart.x), "type": "category", **({"tickangle": 0} if several else {})}
    top = chart.top()
    y = {**_axis(chart.y), **({} if top is None else {"range": [0, top]})}
    layout = _layout(HEIGHT + _legend_pixels([bars.name for bars in chart.bars]), x, y)
    layout["legend"]["y"] = -0.3
    return traces, {**layout, "barmode": "group", "bargap": 0.25}


@_data_and_layout.register(ScatterChart)
def _scatter(chart: ScatterChart) -> DataAndLayout:
    webgl = sum(len(points.xy) for points in chart.points) > WEBGL_POINTS
    traces = [_points(points, webgl=webgl) for points in chart.points]
    # No height: the style sheet sets the shape of the chart.
    return traces, {
        "margin": {"l": 5, "r": 5, "t": 28, "b": 10},
        "legend": {"orientation": "h", "x": 0, "y": -0.01, "yanchor": "top",
                   "itemsizing": "constant"},
        "plot_bgcolor": "rgba(127,127,127,0.06)",
        "xaxis": BARE, "yaxis": {**BARE, "scaleanchor": "x"},
    }  # fmt: skip


def _points(points: Points, *, webgl: bool) -> dict[str, Any]:
    x, y = ([float(f"{value:.6g}") for value in column] for column in points.xy.T)
    trace: dict[str, Any] = {
        "type": "scatter", "x": x, "y": y, "mode": "markers", "name": plain_text(points.name),
        "hovertext": [plain_text(text).replace("\n", "<br>") for text in points.texts],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }  # fmt: skip
    if points.colour is not None:
        marker = {"color": colour_of(points.colour), "size": 5, "opacity": 0.65}
        return {**trace, "type": "scattergl" if webgl else "scatter", "marker": marker}
    texts, sides = [""] * len(x), ["top right"] * len(x)
    for label in points.labels:
        texts[label.place] = plain_text(label.text)
        sides[label.place] = "top left" if label.left else "top right"
    return {
        **trace, "mode": "markers+text", "text": texts, "textposition": sides,
        "textfont": {"size": 11}, "marker": {"size": 6, "symbol": "x-thin-open"}, "meta": INK,
    }  # fmt: skip


def _axis(axis: Axis, last: float = 1) -> dict[str, Any]:
    """Return an axis; the distance of whole ticks depends on `last`, its highest position."""
    layout: dict[str, Any] = {"title": {"text": plain_text(axis.label)}}
    if axis.logarithmic:
        layout |= {"type": "log", "dtick": 1}
    if axis.whole:
        steps = (power * unit for power in (1, 10, 100, 1000) for unit in (1, 2, 5))
        step = next((step for step in steps if last <= TICKS * step), 10_000)
        layout |= {"tick0": 0, "dtick": step, "tickformat": "d"}
    if axis.percent:
        layout["tickformat"] = ".0%"
    if axis.names:
        names = [plain_text(name) for name in axis.names]
        layout |= {"tickvals": list(range(len(names))), "ticktext": names}
    if axis.span is not None:
        layout["range"] = list(axis.span)
    if axis.from_zero:
        layout["rangemode"] = "tozero"
    return layout


def _layout(height: int, x: dict[str, Any], y: dict[str, Any]) -> dict[str, Any]:
    return {
        "height": height,
        "margin": {"l": 45, "r": 15, "t": 28, "b": 40},
        "legend": {"orientation": "h", "x": 0, "y": -0.22, "yanchor": "top"},
        "xaxis": x,
        "yaxis": y,
    }


def _legend_pixels(names: Sequence[str]) -> int:
    """Return the height of a legend on a phone, with columns as wide as the longest name."""
    column_pixels = LEGEND_MARK_PIXELS + LETTER_PIXELS * max(map(len, names), default=0)
    n_columns = max(1, int(PHONE_PIXELS / column_pixels))
    return LEGEND_ROW_PIXELS * -(-len(names) // n_columns)
