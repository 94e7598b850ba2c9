"""Means over tenths: how one value changes as another grows."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64, Int

N_TENTHS = 10


def tenths(values: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Return the tenth of each value, counted from 0; equal values are in the same tenth."""
    inner = np.quantile(values, np.linspace(0, 1, N_TENTHS + 1)[1:-1])
    return np.searchsorted(inner, values, side="left")


def course(
    x: Float[np.ndarray, " n"], *ys: Float[np.ndarray, " n"]
) -> tuple[tuple[float, ...], ...]:
    """Return the mean of `x` in each of its tenths, in rising order, and the means of `ys` there.

    Tenths without a value, as with many equal values, are left out.
    """
    tenth = tenths(x)
    present = np.unique(tenth)
    return tuple(tuple(float(v[tenth == t].mean()) for t in present) for v in (x, *map(_flat, ys)))


def _flat(values: np.ndarray) -> Float64[np.ndarray, " n"]:
    return np.asarray(values, np.float64)
