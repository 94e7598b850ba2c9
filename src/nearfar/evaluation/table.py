"""Evaluations and comparisons as tables: strings to print, and the numbers behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nearfar.core.errors import EmptyDataError
from nearfar.core.frames import table_html
from nearfar.evaluation.evaluation import Activity, Evaluation
from nearfar.evaluation.groups import Group
from nearfar.evaluation.intervals import Method
from nearfar.evaluation.paired import Paired, Test, compare_all
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


def comparison_table(
    evaluations: Mapping[str, Evaluation],
    metrics: Sequence[Metric] | None = None,
    *,
    baseline: str | None = None,
    level: float = 0.95,
    method: Method = "t",
    test: Test = "t",
    seed: int = 0,
) -> Table:
    """One row per model, one column per metric: ".4246 ±.0045", half the interval after "±".

    With a baseline, "*" marks what differs from it by a paired test after Holm's correction over
    the whole table.

    Args:
        evaluations: name -> evaluation.
        metrics: the columns; by default those of the first evaluation.
        baseline: the name of the model that the others are tested against.
        level: of the intervals; "*" stands for an adjusted p below 1 - level.
        method: of the intervals.
        test: the paired test.
        seed: of any resampling.

    Raises:
        EmptyDataError: there is no evaluation.
        UnknownNameError: a metric was not evaluated, or no evaluation is called `baseline`.
        DataError: a baseline is named and the evaluations are not of the same users.
    """
    columns = _columns(evaluations, metrics)
    pairs = _pairs(evaluations, columns, baseline, level, test, seed)
    rows, data = [], []
    for name, evaluation in evaluations.items():
        cells = []
        summary: dict[str, Any] = evaluation.to_dict(level, method, seed)["metrics"]
        for metric in columns:
            pair = pairs.get((name, metric))
            differs = pair is not None and pair.p_holm is not None and pair.p_holm < 1 - level
            cells.append(_cell(evaluation, metric, level, method, seed) + (" *" if differs else ""))
        rows.append((name, f"{evaluation.n_users}", *cells))
        data.append(
            {
                "model": name,
                "n_users": evaluation.n_users,
                "n_dropped": evaluation.n_dropped,
                "metrics": {str(metric): summary[str(metric)] for metric in columns},
                "versus_baseline": {
                    str(metric): pairs[name, metric].to_dict()
                    for metric in columns
                    if (name, metric) in pairs
                },
            }
        )
    notes = [f"± half the {_percent(level)} interval of the mean over users ({method})."]
    if baseline is not None:
        notes.append(
            f"* differs from {baseline}: paired {test} test, Holm-adjusted p < {1 - level:.3g}."
        )
    header = ("model", "users", *map(str, columns))
    return Table(header, tuple(rows), tuple(notes), tuple(data))


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


def _pairs(
    evaluations: Mapping[str, Evaluation],
    columns: Sequence[Metric],
    baseline: str | None,
    level: float,
    test: Test,
    seed: int,
) -> dict[tuple[str, Metric], Paired]:
    if baseline is None:
        return {}
    of_users = [metric for metric in columns if metric not in _first(evaluations).overall]
    found = compare_all(evaluations, baseline, of_users, method=test, level=level, seed=seed)
    return {(pair.b, pair.metric): pair for pair in found}


def _percent(level: float) -> str:
    return f"{np.round(100 * level, 6):g}%"
