"""Tables of evaluations and comparisons: text to print, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nearfar.core.errors import EmptyDataError
from nearfar.core.frames import table_html
from nearfar.evaluation.evaluation import Activity, Evaluation
from nearfar.evaluation.groups import Group
from nearfar.evaluation.intervals import Method
from nearfar.evaluation.paired import Paired
from nearfar.evaluation.text import aligned, number, p_value, with_half_width
from nearfar.metrics.metric import Metric


@dataclass(frozen=True)
class Table:
    """A table, independent of how it is rendered.

    Args:
        header: names of the columns.
        rows: one text per column.
        notes: remarks for the reader, one line each.
        data: the values of the rows, JSON-able.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    data: tuple[dict[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the values of the rows and the notes, JSON-able."""
        return {"rows": list(self.data), "notes": list(self.notes)}

    def __str__(self) -> str:
        return "\n".join([aligned(self.header, self.rows), *self.notes])

    def _repr_html_(self) -> str:
        return table_html(self.rows, header=self.header, notes=self.notes)


def tall(table: Table, n_leading: int, most: int) -> Table:
    """Return a table of more than `most` metrics with one row per metric and original row.

    Args:
        table: a table with `n_leading` columns, then one per metric.
        n_leading: number of columns before the metrics.
        most: number of metrics that fit side by side.
    """
    metrics = table.header[n_leading:]
    if len(metrics) <= most:
        return table
    rows = tuple(
        (metric, *row[:n_leading], row[n_leading + i])
        for i, metric in enumerate(metrics)
        for row in table.rows
    )
    return replace(table, header=("metric", *table.header[:n_leading], "mean"), rows=rows)


def comparison_table(
    evaluations: Mapping[str, Evaluation],
    metrics: Sequence[Metric] | None = None,
    *,
    level: float = 0.95,
    method: Method = "t",
    seed: int = 0,
) -> Table:
    """Return a table with one row per model and one column per metric, such as ".4246 ±.0045".

    Intervals of two models may overlap although a paired test separates them: see `paired_table`.

    Args:
        evaluations: name -> evaluation.
        metrics: the columns; by default those of the first evaluation.
        level: confidence level of the intervals.
        method: method of the intervals, see `intervals.mean_interval`.
        seed: random seed of the resampling.

    Raises:
        EmptyDataError: there is no evaluation.
        UnknownNameError: a metric was not evaluated.
    """
    columns = _columns(evaluations, metrics)
    rows, data = [], []
    for name, evaluation in evaluations.items():
        summary: dict[str, Any] = evaluation.to_dict(level, method, seed)["metrics"]
        cells = [_cell(evaluation, metric, level, method, seed) for metric in columns]
        rows.append((name, f"{evaluation.n_users}", *cells))
        data.append(
            {
                "model": name,
                "n_users": evaluation.n_users,
                "n_dropped": evaluation.n_dropped,
                "metrics": {str(metric): summary[str(metric)] for metric in columns},
            }
        )
    notes = (f"± half the {_percent(level)} interval of the mean over users ({method}).",)
    return Table(("model", "users", *map(str, columns)), tuple(rows), notes, tuple(data))


def group_table(
    evaluations: Mapping[str, Evaluation],
    bounds: str | Sequence[Group],
    metrics: Sequence[Metric] | None = None,
    *,
    by: Activity = "total",
    level: float = 0.95,
    method: Method = "t",
    seed: int = 0,
) -> Table:
    """Return a table with one row per group of users and model; see `Evaluation.groups`.

    Raises:
        EmptyDataError: there is no evaluation.
        SettingsError: the bounds cannot be read, overlap or are not in rising order.
        UnknownNameError: a metric was not evaluated.
    """
    columns = [m for m in _columns(evaluations, metrics) if m not in _first(evaluations).overall]
    by_model = {name: evaluation.groups(bounds, by) for name, evaluation in evaluations.items()}
    rows, data = [], []
    for group in next(iter(by_model.values())):
        for name, by_group in by_model.items():
            evaluation = by_group[group]
            cells = [_cell(evaluation, metric, level, method, seed) for metric in columns]
            rows.append((str(group), f"{evaluation.n_users}", name, *cells))
            summary: dict[str, Any] = evaluation.to_dict(level, method, seed)["metrics"]
            data.append(
                {
                    "group": str(group),
                    "n_users": evaluation.n_users,
                    "model": name,
                    "metrics": {str(metric): summary[str(metric)] for metric in columns},
                }
            )
    counted = "all interactions" if by == "total" else "fold-in interactions"
    notes = [
        f"Groups by {counted} of a user; "
        f"± half the {_percent(level)} interval of the mean over users ({method})."
    ]
    for name, by_group in by_model.items():
        outside = evaluations[name].n_users - sum(
            evaluation.n_users for evaluation in by_group.values()
        )
        if outside:
            notes.append(f"{outside} users of {name} are in no group.")
    header = ("interactions", "users", "model", *map(str, columns))
    return Table(header, tuple(rows), tuple(notes), tuple(data))


def paired_table(pairs: Sequence[Paired]) -> Table:
    """Return a table with one row per comparison: gain, p-values, shares of users up and down."""
    header = ("metric", "model", "versus", "gain", "p", "p Holm", "better", "worse", "tied")
    rows = tuple(
        (
            str(pair.metric),
            pair.b,
            pair.a,
            with_half_width(
                pair.difference,
                pair.interval.half_width if pair.interval else None,
                pair.metric,
                signed=True,
            ),
            p_value(pair.p),
            p_value(pair.p_holm),
            *(f"{s:.1%}" for s in (pair.better_share, pair.worse_share, pair.tied_share)),
        )
        for pair in pairs
    )
    notes = [f"± half the {_percent(p.interval.level)} interval." for p in pairs if p.interval][:1]
    if pairs and pairs[0].method != "t":
        notes.append(f"p by the paired {pairs[0].method} test.")
    return Table(header, rows, tuple(notes), tuple(pair.to_dict() for pair in pairs))


def _cell(evaluation: Evaluation, metric: Metric, level: float, method: Method, seed: int) -> str:
    interval = evaluation.interval(metric, level, method, seed)
    if interval is None:
        return number(evaluation.mean(metric), metric)
    return with_half_width(evaluation.mean(metric), interval.half_width, metric)


def _first(evaluations: Mapping[str, Evaluation]) -> Evaluation:
    if not evaluations:
        raise EmptyDataError("no evaluations to make a table of")
    return next(iter(evaluations.values()))


def _columns(
    evaluations: Mapping[str, Evaluation], metrics: Sequence[Metric] | None
) -> tuple[Metric, ...]:
    first = _first(evaluations)
    return first.metrics if metrics is None else tuple(metrics)


def _percent(level: float) -> str:
    return f"{np.round(100 * level, 6):g}%"
