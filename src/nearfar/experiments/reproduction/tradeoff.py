"""The trade-off of section 2.4: collapse by the KL, drift by masks, and alignment between."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

from nearfar.core.errors import MissingExtraError
from nearfar.core.files import atomic_file
from nearfar.evaluation.table import Table
from nearfar.experiments.reproduction.cells import CellResult
from nearfar.experiments.reproduction.intervals import mean_and_half_width, spelled
from nearfar.experiments.reproduction.rows import ALIGNED_MASKS, BASE_POINT, SWEEPS
from nearfar.experiments.reproduction.summary import RowSummary
from nearfar.metrics.ndcg import NDCG
from nearfar.pages.chart import COLOURS

Value = Callable[[CellResult], float | None]


def _of(key: str, scale: float = 1.0) -> Value:
    def value(measured: CellResult) -> float | None:
        found = (measured.latents or {}).get(key)
        return None if found is None else scale * found

    return value


def _ndcg(measured: CellResult) -> float | None:
    return measured.test.mean(NDCG(100)) if NDCG(100) in measured.test.per_user else None


def _ratio(measured: CellResult) -> float | None:
    related, unrelated = (_of(f"distances.{key}")(measured) for key in ("related", "unrelated"))
    return related / unrelated if related is not None and unrelated else None


COLUMNS: dict[str, Value] = {
    "NDCG@100": _ndcg,
    "W2, far but related": _of("distances.related"),
    "W2, least alike": _of("distances.unrelated"),
    "related / least alike": _ratio,
    "collapsed dimensions": _of("health.collapsed"),
    "neighbours kept, %": _of("mask_drift.clean", 100),
    "I, at least": _of("information.clean_low"),
    "I, at most": _of("information.clean_high"),
    "mismatch, at least": _of("information.clean_mismatch_low"),
    "mismatch, at most": _of("information.clean_mismatch"),
}
"""What a point is measured by; nats, latent units, dimensions."""

PANELS = ("NDCG@100", "related / least alike", "collapsed dimensions", "neighbours kept, %",
          "I, at most", "mismatch, at most")  # fmt: skip


def tradeoff_table(summaries: Sequence[RowSummary], level: float) -> Table:
    """Return the numbers of every point: means over seeds, ± half of their interval.

    Args:
        summaries: the rows of the trade-off.
        level: of the intervals, Student's over seeds.
    """
    rows, data = [], []
    for summary in summaries:
        cells, numbers = [], {}
        for name, value in COLUMNS.items():
            values = _values(summary, value)
            mean, half = mean_and_half_width([*values.values()], level)
            numbers[name] = {"mean": mean, "half_width": half, "by_seed": values}
            cells.append(spelled(mean, half))
        rows.append((summary.row.label, *cells))
        data.append({"row": summary.row.label, "point": dict(summary.row.point or {}), **numbers})
    notes = (
        f"± half the {level:.0%} interval over seeds; none for one seed.",
        "W2 in latent units, I (information) and mismatch (of the aggregated posterior with the "
        "prior) in nats per user, of a sample of each split's users with whole histories; "
        "neighbours kept: of 10, when half of the items are hidden.",
    )
    return Table(("point", *COLUMNS), tuple(rows), notes, tuple(data))


def tradeoff_figure(summaries: Sequence[RowSummary], path: Path, title: str, level: float) -> None:
    """Draw a column per sweep and a panel per number; bars are intervals over seeds.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "plots", "the figure of the trade-off") from None
    figure = Figure(figsize=(3.3 * len(SWEEPS), 1.9 * len(PANELS)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    axes = figure.subplots(len(PANELS), len(SWEEPS), sharex="col", sharey="row", squeeze=False)
    for column, name in enumerate(SWEEPS):
        lines = [("no alignment" if name == "keep_prob" else "", {})]
        if name == "keep_prob":
            lines.append((f"with PIA, lambda_A {ALIGNED_MASKS:g}", {"lambda_A": ALIGNED_MASKS}))
        for row, panel in enumerate(PANELS):
            axis = axes[row, column]
            axis.grid(alpha=0.25)
            axis.spines[["top", "right"]].set_visible(False)
            for (label, fixed), colour in zip(lines, COLOURS, strict=False):
                points = _line(summaries, name, fixed, COLUMNS[panel], level)
                if points:
                    x, y, half = zip(*points, strict=True)
                    axis.errorbar(x, y, half, marker="o", ms=4, lw=1.5, color=colour, label=label)
            if column == 0:
                axis.set_ylabel(panel, fontsize=8)
        bottom = axes[-1, column]
        bottom.set_xlabel(name)
        bottom.set_xscale("symlog", linthresh=0.01 if name == "beta" else 0.3)
        if name == "keep_prob":
            bottom.set_xscale("linear")
            axes[0, column].legend(frameon=False, fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix.lstrip(".") or "png", dpi=140)
    with atomic_file(path) as file:
        file.write(buffer.getvalue())


def _line(
    summaries: Sequence[RowSummary], name: str, fixed: dict[str, float], value: Value, level: float
) -> list[tuple[float, float, float]]:
    """Where a sweep stands: x, mean, half of the interval; others than `name` at the base."""
    at = {**BASE_POINT, **fixed}
    points = []
    for summary in summaries:
        point = summary.row.point or {}
        if any(point.get(other) != at[other] for other in BASE_POINT if other != name):
            continue
        mean, half = mean_and_half_width([*_values(summary, value).values()], level)
        if mean is not None:
            points.append((point[name], mean, half or 0.0))
    return sorted(points)


def _values(summary: RowSummary, value: Value) -> dict[int, float]:
    found = {seed: value(measured) for seed, measured in summary.measured.items()}
    return {seed: each for seed, each in found.items() if each is not None}
