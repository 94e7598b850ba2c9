"""Dots with intervals, published values as hollow marks beside them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.core.errors import MissingExtraError
from nearfar.core.files import atomic_file
from nearfar.experiments.reproduction.report import ReproductionReport
from nearfar.experiments.reproduction.summary import RowSummary
from nearfar.maps.colours import COLOURS
from nearfar.metrics.metric import Metric


@dataclass(frozen=True)
class FigurePoint:
    """One value of a panel; `filled` ones are ours, with an interval where there is one."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    published: float | None = None
    highlight: bool = False


@dataclass(frozen=True)
class Panel:
    """The values of one metric; all panels of a figure have the same labels in the same order."""

    title: str
    dots: Sequence[FigurePoint]


def dots_figure(
    panels: Sequence[Panel], path: Path, title: str, *, level: float, highlighted: str
) -> None:
    """Draw the panels side by side into one file, its format by the suffix (.png, .svg, .pdf).

    Args:
        level: of the intervals, for the legend.
        highlighted: what the highlighted dots have in common, for the legend.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
    except ImportError:
        raise MissingExtraError("matplotlib", "plots", "the figure of the table") from None
    labels = [dot.label for dot in panels[0].dots]
    height = 1.4 + 0.3 * len(labels)
    figure = Figure(figsize=(2.2 + 3.2 * len(panels), height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, panel in zip(axes, panels, strict=True):
        axis.set_title(panel.title, fontsize=10, loc="left")
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        for place, dot in enumerate(panel.dots):
            _draw(axis, place, dot)
    axes[0].set_yticks(range(len(labels)), labels, fontsize=9)
    axes[0].set_ylim(len(labels) - 0.5, -0.5)
    dots = [dot for panel in panels for dot in panel.dots]
    marks = [
        Line2D([], [], color=COLOURS[0], marker="o", label=f"ours, {level:.0%} interval"),
        *(Line2D([], [], color=COLOURS[1], marker="o", label=highlighted),)
        * any(dot.highlight for dot in dots),
        *(Line2D([], [], color="0.3", marker="D", mfc="none", ls="", label="published"),)
        * any(dot.published is not None for dot in dots),
    ]
    figure.legend(handles=marks, loc="outside lower left", frameon=False, ncols=3, fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix.lstrip(".") or "png", dpi=140)
    with atomic_file(path) as file:
        file.write(buffer.getvalue())


def _draw(axis, place: int, dot: FigurePoint) -> None:
    colour = COLOURS[1 if dot.highlight else 0]
    if dot.value is not None:
        if dot.low is not None and dot.high is not None:
            axis.plot([dot.low, dot.high], [place, place], color=colour, lw=1.6)
        axis.plot(dot.value, place, "o", color=colour, ms=5)
    if dot.published is not None:
        axis.plot(dot.published, place, "D", mfc="none", mec="0.3", ms=5)


def panels(found: ReproductionReport) -> list[Panel]:
    """A panel a metric: the rows, or for "groups" each row in each group."""
    grouped = next((s.table for s in found.sections if s.name == "groups"), None)
    metrics = found.plan.measured
    if grouped is None:
        return [Panel(str(m), [_dot(summary, m) for summary in found.summaries]) for m in metrics]
    return [
        Panel(
            str(m), [dot for row in grouped.data if row["metric"] == str(m) for dot in _pair(row)]
        )
        for m in metrics
    ]


def _dot(summary: RowSummary, metric: Metric) -> FigurePoint:
    label, value = summary.row.label, summary.values.get(metric)
    if value is None:
        return FigurePoint(label, None)
    return FigurePoint(
        label, value.mean, value.low, value.high, value.published, summary.row.aligned
    )


def _pair(row: dict[str, Any]) -> list[FigurePoint]:
    return [
        FigurePoint(
            f"{row['group']} {label}", value["mean"], value["low"], value["high"],
            value["published"], aligned,
        )
        for (label, value), aligned in zip(row["values"].items(), (False, True), strict=True)
    ]  # fmt: skip
