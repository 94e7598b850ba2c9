"""Evaluations and comparisons as tables: strings to print, and the numbers behind them."""

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
    """A table that knows nothing of how it is drawn.

    Args:
        header: the names of the columns.
        rows: one text a column.
        notes: what the reader must know, one line each.
        data: what the rows say, as JSON-able values.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    data: tuple[dict[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The numbers of the table, JSON-able, with its notes."""
        return {"rows": list(self.data), "notes": list(self.notes)}

    def __str__(self) -> str:
        return "\n".join([aligned(self.header, self.rows), *self.notes])

    def _repr_html_(self) -> str:
        return table_html(self.rows, header=self.header, notes=self.notes)


def tall(table: Table, n_leading: int, most: int) -> Table:
    """Return a table with a row per metric and old row, where it has more metrics than `most`.

    Args:
        table: of `n_leading` columns, then one per metric.
        n_leading: columns that are no metrics.
        most: metrics that fit beside each other.
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
    """One row per model, one column per metric: ".4246 ±.0045", half the interval after "±".

    Intervals of two models may overlap where a paired test tells them apart: see `paired_table`.

    Args:
        evaluations: name -> evaluation.
        metrics: the columns; by default those of the first evaluation.
        level: of the intervals.
        method: of the intervals.
        seed: of any resampling.

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
    """One row per group of users and model, groups outermost; see `Evaluation.groups`.

    Raises:
        EmptyDataError: there is no evaluation.
        SettingsError: the bounds cannot be read, overlap or do not rise.
        UnknownNameError: a metric was not evaluated.
    """
    columns = [m for m in _columns(evaluations, metrics) if m not in _first(evaluations).overall]
    parts = {name: each.groups(bounds, by) for name, each in evaluations.items()}
    rows, data = [], []
    for group in next(iter(parts.values())):
        for name, of_group in parts.items():
            part = of_group[group]
            cells = [_cell(part, metric, level, method, seed) for metric in columns]
            rows.append((str(group), f"{part.n_users}", name, *cells))
            summary: dict[str, Any] = part.to_dict(level, method, seed)["metrics"]
            data.append(
                {
                    "group": str(group),
                    "n_users": part.n_users,
                    "model": name,
                    "metrics": {str(metric): summary[str(metric)] for metric in columns},
                }
            )
    counted = "all interactions" if by == "total" else "fold-in interactions"
    notes = [
        f"Groups by {counted} of a user; "
        f"± half the {_percent(level)} interval of the mean over users ({method})."
    ]
    for name, of_group in parts.items():
        outside = evaluations[name].n_users - sum(part.n_users for part in of_group.values())
        if outside:
            notes.append(f"{outside} users of {name} are in no group.")
    header = ("interactions", "users", "model", *map(str, columns))
    return Table(header, tuple(rows), tuple(notes), tuple(data))


def paired_table(pairs: Sequence[Paired]) -> Table:
    """One row a comparison: the gain with its interval, the p-values, and users up and down."""
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
