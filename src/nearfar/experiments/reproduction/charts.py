"""A report's figure: measured values with intervals, and the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nearfar.experiments.reproduction.report import ReproductionReport
from nearfar.experiments.reproduction.summary import RowSummary
from nearfar.experiments.reproduction.tradeoff import tradeoff_charts
from nearfar.metrics.metric import Metric
from nearfar.pages.chart import Chart, Dot, DotChart


def charts(found: ReproductionReport) -> Sequence[Chart]:
    """Return a chart per metric: the rows, or for "groups" each row in each group.

    Those of "tradeoff" are a chart per number and sweep.
    """
    if found.plan.table == "tradeoff":
        return tradeoff_charts(next(s.table.data for s in found.sections if s.name == "latents"))
    grouped = next((s.table for s in found.sections if s.name == "groups"), None)
    colours = {0: f"ours, {found.level:.0%} interval", 1: "with PIA"}
    result = []
    for metric in found.plan.measured:
        if grouped is None:
            dots = [_dot(summary, metric) for summary in found.summaries]
        else:
            rows = [row for row in grouped.data if row["metric"] == str(metric)]
            dots = [dot for row in rows for dot in _pair(row)]
        result.append(DotChart(str(metric), dots, colours=colours))
    return result


def _dot(summary: RowSummary, metric: Metric) -> Dot:
    label, value = summary.row.label, summary.values.get(metric)
    if value is None:
        return Dot(label, None)
    colour = int(summary.row.aligned)
    return Dot(label, value.mean, value.low, value.high, colour, value.published)


def _pair(row: dict[str, Any]) -> list[Dot]:
    return [
        Dot(
            f"{row['group']} {label}", value["mean"], value["low"], value["high"], colour,
            value["published"],
        )
        for colour, (label, value) in enumerate(row["values"].items())
    ]  # fmt: skip
