"""The trade-off of section 2.4 as table and charts: KL weight, masking and alignment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nearfar.evaluation.table import Table
from nearfar.experiments.reproduction.cells import CellResult
from nearfar.experiments.reproduction.rows import ALIGNED_MASKS, BASE_POINT, SWEEPS
from nearfar.experiments.reproduction.summary import RowSummary, format_mean, mean_and_half_width
from nearfar.metrics.ndcg import NDCG
from nearfar.pages.chart import Axis, Line, LineChart

PointValue = Callable[[CellResult], float | None]


def _latent_number(key: str, scale: float = 1.0) -> PointValue:
    def value(measured: CellResult) -> float | None:
        number = (measured.latents or {}).get(key)
        return None if number is None else scale * number

    return value


def _ndcg(measured: CellResult) -> float | None:
    return measured.test.mean(NDCG(100)) if NDCG(100) in measured.test.per_user else None


def _ratio(measured: CellResult) -> float | None:
    related, unrelated = (
        _latent_number(f"distances.{key}")(measured) for key in ("related", "unrelated")
    )
    return related / unrelated if related is not None and unrelated else None


COLUMNS: dict[str, PointValue] = {
    "NDCG@100": _ndcg,
    "W2, far but related": _latent_number("distances.related"),
    "W2, least alike": _latent_number("distances.unrelated"),
    "related / least alike": _ratio,
    "collapsed dimensions": _latent_number("health.collapsed"),
    "neighbours kept, %": _latent_number("mask_drift.clean", 100),
    "I, at least": _latent_number("information.clean_low"),
    "I, at most": _latent_number("information.clean_high"),
    "mismatch, at least": _latent_number("information.clean_mismatch_low"),
    "mismatch, at most": _latent_number("information.clean_mismatch"),
}
"""Column -> value of a point; in nats, latent units or dimensions."""

PANELS = ("NDCG@100", "related / least alike", "collapsed dimensions", "neighbours kept, %",
          "I, at most", "mismatch, at most")  # fmt: skip


def tradeoff_table(summaries: Sequence[RowSummary], level: float) -> Table:
    """Return a table of every point: means over seeds, ± half of their interval.

    Args:
        summaries: rows of the trade-off.
        level: confidence level of Student's intervals over seeds.
    """
    rows, data = [], []
    for summary in summaries:
        cells, numbers = [], {}
        for name, value in COLUMNS.items():
            values = _values(summary, value)
            mean, half_width = mean_and_half_width([*values.values()], level)
            numbers[name] = {"mean": mean, "half_width": half_width, "by_seed": values}
            cells.append(format_mean(mean, half_width))
        rows.append((summary.row.label, *cells))
        data.append({"row": summary.row.label, "point": dict(summary.row.point or {}), **numbers})
    notes = (
        f"± half the {level:.0%} interval over seeds; none for one seed.",
        "W2 in latent units, I (information) and mismatch (of the aggregated posterior with the "
        "prior) in nats per user, of a sample of each split's users with whole histories; "
        "neighbours kept: of 10, when half of the items are hidden.",
    )
    return Table(("point", *COLUMNS), tuple(rows), notes, tuple(data))


def tradeoff_charts(points: Sequence[Mapping[str, Any]]) -> list[LineChart]:
    """Return a chart per number and sweep; the sweeps of a number share one scale.

    Args:
        points: the data of `tradeoff_table`, or the same from a report's JSON.
    """
    charts = []
    for panel in PANELS:
        scale = Axis(span=_span([point[panel] for point in points]))
        for sweep, values in SWEEPS.items():
            positions = sorted({BASE_POINT[sweep], *values})
            is_masking = sweep == "keep_prob"
            base_label = "no alignment" if is_masking else ""
            lines = [_line(points, panel, sweep, positions, BASE_POINT, base_label)]
            if is_masking:
                base = {**BASE_POINT, "lambda_A": ALIGNED_MASKS}
                label = f"with PIA, lambda_A {ALIGNED_MASKS:g}"
                lines.append(_line(points, panel, sweep, positions, base, label, 1))
            axis = Axis(sweep, names=[f"{value:g}" for value in positions])
            charts.append(LineChart(panel, [line for line in lines if line.x], axis, scale))
    return charts


def _span(numbers: Sequence[Mapping[str, float | None]]) -> tuple[float, float] | None:
    """Return the range of all intervals with a margin; None if there is no number."""
    intervals = [(n["mean"], n["half_width"] or 0.0) for n in numbers if n["mean"] is not None]
    if not intervals:
        return None
    low, high = min(m - half for m, half in intervals), max(m + half for m, half in intervals)
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def _line(
    points: Sequence[Mapping[str, Any]],
    panel: str,
    sweep: str,
    positions: Sequence[float],
    base: Mapping[str, float],
    label: str,
    colour: int = 0,
) -> Line:
    """Return a line of the means of the points that differ from `base` only in the sweep."""
    by_position = {
        positions.index(point["point"][sweep]): point[panel]
        for point in points
        if {**point["point"], sweep: 0} == {**base, sweep: 0} and point[panel]["mean"] is not None
    }
    x = sorted(by_position)
    means, errors = ([by_position[i][key] for i in x] for key in ("mean", "half_width"))
    return Line(label, x, means, colour, errors=errors)


def _values(summary: RowSummary, value: PointValue) -> dict[int, float]:
    """Return the value of a point by seed, without seeds that have none."""
    by_seed = {seed: value(measured) for seed, measured in summary.measured.items()}
    return {seed: number for seed, number in by_seed.items() if number is not None}
