"""Means over seeds with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nearfar.evaluation.intervals import mean_interval


def mean_and_half_width(values: Sequence[float], level: float) -> tuple[float | None, float | None]:
    """Return the mean and half of Student's interval; None where there are too few values."""
    if not values:
        return None, None
    array = np.array(values, dtype=np.float64)
    interval = mean_interval(array, level) if len(array) > 1 else None
    return float(array.mean()), None if interval is None else interval.half_width


def spelled(mean: float | None, half_width: float | None) -> str:
    """Return the mean as tables show it, with ± half of its interval where there is one."""
    if mean is None:
        return "-"
    return f"{mean:.3g}" if half_width is None else f"{mean:.3g} ± {half_width:.2g}"
