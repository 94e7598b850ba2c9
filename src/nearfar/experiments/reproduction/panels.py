"""Which dots a report's figure shows."""

from __future__ import annotations

from typing import Any

from nearfar.experiments.reproduction.figure import Dot, Panel
from nearfar.experiments.reproduction.report import Report
from nearfar.experiments.reproduction.summary import RowSummary
from nearfar.metrics.metric import Metric


def panels(found: Report) -> list[Panel]:
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


def _dot(summary: RowSummary, metric: Metric) -> Dot:
    label, value = summary.row.label, summary.values.get(metric)
    if value is None:
        return Dot(label, None)
    return Dot(label, value.mean, value.low, value.high, value.published, summary.row.aligned)


def _pair(row: dict[str, Any]) -> list[Dot]:
    return [
        Dot(
            f"{row['group']} {label}", value["mean"], value["low"], value["high"],
            value["published"], aligned,
        )
        for (label, value), aligned in zip(row["values"].items(), (False, True), strict=True)
    ]  # fmt: skip
