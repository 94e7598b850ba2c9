"""Format numbers and tables as plain text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from nearfar.data.interactions import FoldIn
from nearfar.metrics.hit_rate import HitRate
from nearfar.metrics.metric import Metric
from nearfar.metrics.precision import Precision
from nearfar.metrics.recall import Recall


def finite(value: float | None) -> float | None:
    """Return a number, or None if it is missing, NaN or infinite."""
    return float(value) if value is not None and math.isfinite(value) else None


def number(value: float | None, metric: Metric, digits: int = 4, *, signed: bool = False) -> str:
    """Format a metric's value: ".4246" for shares, "9.1300" for other units, "-" for no value."""
    if value is None or not math.isfinite(value):
        return "-"
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    if metric.unit == "share":
        sign = text[0] if text[0] in "+-" else ""
        body = text.removeprefix(sign)
        text = sign + (body[1:] if body.startswith("0.") else body)
    return text


def with_half_width(
    value: float | None,
    half_width: float | None,
    metric: Metric,
    digits: int = 4,
    *,
    signed: bool = False,
) -> str:
    """Format a value and half its interval: ".4246 ±.0045"; the value alone for None."""
    text = number(value, metric, digits, signed=signed)
    if text == "-" or half_width is None:
        return text
    return f"{text} ±{number(half_width, metric, digits)}"


def p_value(p: float | None) -> str:
    """Format a p-value: ".031", "<.001", "1.000", or "-" for None."""
    if p is None:
        return "-"
    if p < 0.001:
        return "<.001"
    text = f"{p:.3f}"
    return text.removeprefix("0")


def percent(share: float) -> str:
    """Format a share to two digits: "0.35 %", "3.5 %" or "1,250 %"; "<0.01 %" below that."""
    value = 100 * share
    if 0 < abs(value) < 0.01:
        return "<0.01 %" if value > 0 else ">-0.01 %"
    return f"{value:,.0f} %" if abs(value) >= 10 else f"{value:.2g} %"


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format rows as text columns under a header, the first left-aligned, the others right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


UNORDERED = (Recall, HitRate, Precision)
"""Metrics that do not depend on the order of the first k items."""


def remark_on_depths(metrics: Iterable[Metric], data: FoldIn) -> str:
    """Return a warning about metrics whose cutoff covers every item that a user has not seen.

    Every model has the same value of these metrics for at least half of the users.

    Args:
        metrics: the evaluated metrics.
        data: the held-out users.

    Returns:
        The warning; empty if no metric is affected.
    """
    n_unseen = data.fold_in.n_items - np.median(np.diff(data.fold_in.x.indptr))
    full = [str(m) for m in metrics if isinstance(m, UNORDERED) and m.depth >= n_unseen]
    if not full:
        return ""
    return (
        f"{', '.join(full)}: there are only {data.fold_in.n_items:,} items, so a list of this "
        "length holds all of them and every model gets the same value; use a smaller cutoff "
        "(nearfar evaluate --metrics recall@5)"
    )
