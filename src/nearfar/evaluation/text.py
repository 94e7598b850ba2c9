"""Numbers and rows as plain text."""

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
    """Return a number, or None where it is missing, NaN or infinite."""
    return float(value) if value is not None and math.isfinite(value) else None


def number(value: float | None, metric: Metric, digits: int = 4, *, signed: bool = False) -> str:
    """A metric's value as ".4246" for shares, "9.1300" for other units, "-" for no value."""
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
    """A value with what it may be off by: ".4246 ±.0045"; without it where that is None."""
    text = number(value, metric, digits, signed=signed)
    if text == "-" or half_width is None:
        return text
    return f"{text} ±{number(half_width, metric, digits)}"


def p_value(p: float | None) -> str:
    """A p-value as ".031", "<.001", "1.000", or "-" for none."""
    if p is None:
        return "-"
    if p < 0.001:
        return "<.001"
    text = f"{p:.3f}"
    return text.removeprefix("0")


def percent(share: float) -> str:
    """A share as "0.35 %", "3.5 %" or "1,250 %": two digits; "<0.01 %" for less than that."""
    value = 100 * share
    if 0 < abs(value) < 0.01:
        return "<0.01 %" if value > 0 else ">-0.01 %"
    return f"{value:,.0f} %" if abs(value) >= 10 else f"{value:.2g} %"


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text under their header, the first to the left, the others to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


SETS = (Recall, HitRate, Precision)
"""Metrics that do not look at the order of the items within their depth."""


def remark_on_depths(metrics: Iterable[Metric], data: FoldIn) -> str:
    """Name the metrics whose lists hold all items that a user can be recommended.

    Every model has the same value of them. Half of the users or more are concerned.

    Args:
        metrics: that were measured.
        data: on what.
    """
    n_left = data.fold_in.n_items - np.median(np.diff(data.fold_in.x.indptr))
    full = [str(m) for m in metrics if isinstance(m, SETS) and m.depth >= n_left]
    return (
        f"{', '.join(full)}: there are {data.fold_in.n_items:,} items only, so that such a list "
        "holds all of them and every model gets the same; measure at a smaller cutoff (nearfar "
        "evaluate --metrics recall@5)"
    ) * bool(full)
