"""Draw charts with Matplotlib, as a figure or a picture file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfar.core.errors import SettingsError
from nearfar.core.extras import require
from nearfar.core.files import atomic_file
from nearfar.core.seeding import generator
from nearfar.evaluation.text import finite
from nearfar.pages.chart import (
    FEW_POINTS,
    NEUTRAL,
    Axis,
    BarChart,
    Chart,
    DotChart,
    LineChart,
    ScatterChart,
    colour_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
COLUMNS = 3
INK = "#333333"
BARS_WIDTH = 0.8
DASHES = ("-", "--", ":", "-.")

MAX_VECTOR_POINTS = 5_000
"""Most points drawn as vectors; more would make a vector file slow to display."""


def check_picture(path: Path, *, extra: str = "plots", purpose: str = "a picture") -> None:
    """Check that a picture can be drawn to this file, before the work begins.

    Args:
        path: the file to draw.
        extra: the extra of nearfar that installs Matplotlib, for the message.
        purpose: name of the picture, for the message.

    Raises:
        SettingsError: the suffix is not that of a picture.
        MissingExtraError: Matplotlib is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise SettingsError(
            f"{path} ends in {path.suffix or 'nothing'}; {purpose} is a file that ends in "
            f"{', '.join(SUFFIXES)}"
        )
    require("matplotlib", extra=extra, purpose=purpose)


def write_picture(charts: Sequence[Chart], path: Path, *, title: str = "") -> None:
    """Draw charts in rows of three into one file atomically, in the format of its suffix.

    The same charts give the same bytes, and text in .svg files stays text.

    Args:
        charts: the charts.
        path: the file to write.
        title: title above all charts.

    Raises:
        SettingsError: the suffix is not that of a picture.
        MissingExtraError: Matplotlib is not installed.
    """
    check_picture(path)
    save(draw(charts, title=title), path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure of `draw`; see `write_picture`."""
    import matplotlib as mpl

    suffix = path.suffix.lower().lstrip(".")
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix, {})
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "nearfar"}):
        figure.savefig(buffer, format=suffix, dpi=150, metadata=undated)
    with atomic_file(path) as file:
        file.write(buffer.getvalue())


def draw(charts: Sequence[Chart], *, title: str = "") -> Figure:
    """Draw charts as one Matplotlib figure.

    If all charts have the same legend, it is drawn once below them.

    Raises:
        SettingsError: there is no chart.
        MissingExtraError: Matplotlib is not installed.
    """
    if not charts:
        raise SettingsError("there is nothing to draw; give at least one chart")
    require("matplotlib", extra="plots", purpose="a picture")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n_columns = min(COLUMNS, len(charts))
    n_rows = -(-len(charts) // n_columns)
    width, height = np.max([_inches(chart) for chart in charts], axis=0)
    label_inches = 2.0 if isinstance(charts[0], DotChart) else 0.0

    class Picture(Figure):
        """A figure that a notebook displays without importing pyplot, which has side effects."""

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png", dpi=100)
            return buffer.getvalue()

    figure = Picture(
        figsize=(label_inches + width * n_columns, height * n_rows), layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = list(np.atleast_1d(figure.subplots(n_rows, n_columns)).ravel())
    for position, (axis, chart) in enumerate(zip(axes, charts, strict=False)):
        axis.set_title(chart.title, fontsize=10, parse_math=False)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        _draw_chart(chart, axis)
        if isinstance(chart, DotChart) and position % n_columns:
            axis.set_yticklabels([])
    for axis in axes[len(charts) :]:
        axis.set_visible(False)
    if title:
        figure.suptitle(title, fontsize=11, x=0.01, ha="left", parse_math=False)
    _add_legends(figure, axes[: len(charts)])
    return figure


def _inches(chart: Chart) -> tuple[float, float]:
    if isinstance(chart, DotChart):
        return 3.2, 1.2 + 0.3 * len(chart.dots)
    return (4.2, 4.5) if isinstance(chart, ScatterChart) else (4.0, 3.4)


@singledispatch
def _draw_chart(chart: Chart, axes: Axes) -> None:
    raise NotImplementedError(type(chart).__name__)


@_draw_chart.register(LineChart)
def _draw_lines(chart: LineChart, axes: Axes) -> None:
    for line in chart.lines:
        colour, few = colour_of(line.colour), len(line.x) <= FEW_POINTS
        y = _with_gaps(line.y)
        marker = "o" if line.points or (few and not chart.x.logarithmic) else None
        axes.plot(
            list(line.x), y, color=colour, label=line.name or None, marker=marker, markersize=3,
            linestyle="none" if line.points else DASHES[line.dash % len(DASHES)], linewidth=1.4,
        )  # fmt: skip
        if line.errors is not None:
            half_widths = _with_gaps(line.errors)
            axes.errorbar(list(line.x), y, half_widths, fmt="none", ecolor=colour, elinewidth=1)
        if line.marked is not None and line.marked in line.x:
            axes.plot(line.marked, y[list(line.x).index(line.marked)], "o", color=colour, ms=7)
    _format_axes(axes, chart.x, chart.y)


@_draw_chart.register(BarChart)
def _draw_bars(chart: BarChart, axes: Axes) -> None:
    positions = np.arange(len(chart.categories))
    width = BARS_WIDTH / len(chart.bars)
    for number, bars in enumerate(chart.bars):
        left = positions - BARS_WIDTH / 2 + (number + 0.5) * width
        errors = None if bars.errors is None else _with_gaps(bars.errors)
        axes.bar(
            left, _with_gaps(bars.values), width, color=colour_of(bars.colour), yerr=errors,
            ecolor=NEUTRAL, label=bars.name or None,
        )  # fmt: skip
    _format_axes(axes, chart.x, chart.y)
    axes.set_xticks(positions, chart.categories, parse_math=False)
    axes.set_ylim(bottom=0, top=chart.top())


@_draw_chart.register(DotChart)
def _draw_dots(chart: DotChart, axes: Axes) -> None:
    for row, dot in enumerate(chart.dots):
        colour = colour_of(dot.colour)
        if dot.low is not None and dot.high is not None:
            axes.plot([dot.low, dot.high], [row, row], color=colour, linewidth=1.6)
        if dot.value is not None:
            axes.plot(dot.value, row, "o", color=colour, markersize=5)
        if dot.published is not None:
            axes.plot(dot.published, row, "D", mfc="none", mec=INK, markersize=5)
    if chart.reference is not None:
        axes.axvline(chart.reference, color=NEUTRAL, linestyle="--")
    axes.grid(alpha=0.25)
    axes.set_yticks(range(len(chart.dots)), [dot.name for dot in chart.dots], parse_math=False)
    axes.set_ylim(len(chart.dots) - 0.5, -0.5)
    _format_axes(axes, chart.x, Axis())
    colours = {dot.colour for dot in chart.dots if dot.value is not None}
    for number in sorted(colours & chart.colours.keys()):
        axes.plot([], [], color=colour_of(number), marker="o", label=chart.colours[number])
    if any(dot.published is not None for dot in chart.dots):
        axes.plot([], [], "D", mfc="none", mec=INK, label="published")


@_draw_chart.register(ScatterChart)
def _draw_scatter(chart: ScatterChart, axes: Axes) -> None:
    cohorts = [points for points in chart.points if points.colour is not None]
    xy = np.concatenate([points.xy for points in cohorts])
    colours = np.repeat(
        [colour_of(points.colour) for points in cohorts], [len(c.xy) for c in cohorts]
    )
    # Draw in random order, so that no cohort hides the others.
    order = generator(0, "chart", "order").permutation(len(xy))
    axes.scatter(
        *xy[order].T, c=colours[order], s=max(2.0, min(12.0, 20_000 / max(1, len(xy)))), alpha=0.6,
        linewidths=0, rasterized=len(xy) > MAX_VECTOR_POINTS,
    )  # fmt: skip
    for points in chart.points:
        mark = "x" if points.colour is None else "o"
        colour = INK if points.colour is None else colour_of(points.colour)
        axes.plot([], [], mark, color=colour, markersize=6, label=points.name)
        if points.colour is None:
            axes.scatter(*points.xy.T, marker="x", s=14, c=INK, linewidths=0.8)
            _draw_labels(axes, points)
    axes.set_xlabel("\n".join(chart.below), fontsize=9, parse_math=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", adjustable="datalim")
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color("#cccccc")


def _draw_labels(axes: Axes, points: Any) -> None:
    from matplotlib.patheffects import withStroke

    for label in points.labels:
        axes.annotate(
            label.text, points.xy[label.place], xytext=(-3 if label.left else 3, 3),
            ha="right" if label.left else "left", textcoords="offset points", fontsize=6.5,
            color=INK, parse_math=False, path_effects=[withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip


def _format_axes(axes: Axes, x: Axis, y: Axis) -> None:
    """Label and scale both axes."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    axes.set_xlabel(x.label, fontsize=9, parse_math=False)
    axes.set_ylabel(y.label, fontsize=9, parse_math=False)
    for name, axis, axis_artist in (("x", x, axes.xaxis), ("y", y, axes.yaxis)):
        low = (axes.dataLim.x0, axes.dataLim.y0)[name == "y"]
        if axis.logarithmic:
            axes.set(**{f"{name}scale": "log"})
        if axis.whole:
            axis_artist.set_major_locator(MaxNLocator(integer=True))
        if axis.percent:
            axis_artist.set_major_formatter(PercentFormatter(1, decimals=0))
        if axis.names:
            axis_artist.set_ticks(range(len(axis.names)), axis.names, parse_math=False)
        if axis.span is not None:
            axes.set(**{f"{name}lim": axis.span})
        if axis.from_zero and low >= 0:
            axes.set(**{f"{name}lim": (0, None)})


def _add_legends(figure: Figure, axes: Sequence[Axes]) -> None:
    """Add one legend below the charts if it fits all of them, else one to each chart."""
    entries: list[dict[str, Any]] = []
    for chart_axes in axes:
        handles, labels = chart_axes.get_legend_handles_labels()
        entries.append(dict(zip(labels, handles, strict=True)))
    longest = max(entries, key=len)
    if not longest:
        return
    if all(chart_entries.keys() <= longest.keys() for chart_entries in entries):
        width, height = figure.get_size_inches()
        n_columns = max(1, int(width / (0.6 + 0.075 * max(map(len, longest)))))
        figure.set_size_inches(width, height + 0.3 * -(-len(longest) // n_columns))
        legends = [
            figure.legend(
                longest.values(), longest, loc="outside lower center", frameon=False, fontsize=9,
                ncols=min(len(longest), n_columns),
            )
        ]  # fmt: skip
    else:
        legends = [
            chart_axes.legend(fontsize=7, frameon=False)
            for chart_axes, chart_entries in zip(axes, entries, strict=True)
            if chart_entries
        ]
    for legend in legends:
        for text in legend.get_texts():
            text.set_parse_math(False)


def _with_gaps(values: Sequence[float | None]) -> list[float]:
    return [np.nan if finite(value) is None else float(value or 0) for value in values]
