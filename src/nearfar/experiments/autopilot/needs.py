"""Whether a fit has enough memory, and how many seconds a closed form takes on this machine."""

from __future__ import annotations

import time
from functools import cache

import torch

from nearfar.algorithms.algorithm import Algorithm
from nearfar.algorithms.regularised_gram import PANEL, PIVOT
from nearfar.core import memory
from nearfar.data.interactions import Interactions
from nearfar.kernels.products import times
from nearfar.models.model import BATCH_BYTES

BYTES_PER_INTERACTION = 64
"""The matrix by user and by item, its indices as int64, and values beside them."""

PROBE_COLUMNS = 8192
"""Columns of the product that measures how fast this machine is."""

PAIRS_PER_SECOND = 6e7
"""Pairs of interactions that are counted per second, at the least."""

OVERHEAD_OF_CLOSED_FORM = 1.5
"""Seconds of a fit per second of its products and counts."""


def needed_bytes(algorithm: Algorithm, train: Interactions) -> int:
    """Return about how much memory a fit and its evaluation take, beside the data.

    Args:
        algorithm: with all settings filled in.
        train: the training users x items.
    """
    of_data = BYTES_PER_INTERACTION * train.n_interactions + 2 * BATCH_BYTES
    return of_data + algorithm.requirements(train).n_bytes


def too_large(algorithm: Algorithm, train: Interactions) -> str | None:
    """Return why a fit does not fit in memory; None where it does."""
    needed, available = needed_bytes(algorithm, train), memory.available_bytes()
    if needed <= available:
        return None
    return (
        f"needs about {memory.readable(needed)} of memory and {memory.readable(available)} are "
        f"available ({train.n_users:,} users, {train.n_items:,} items)"
    )


def closed_form_seconds(algorithm: Algorithm, train: Interactions) -> float:
    """Return about how long a fit takes that cannot be stopped; 0 for all that report steps."""
    requirements = algorithm.requirements(train)
    if not requirements.n_multiplications:
        return 0.0
    pairs = requirements.n_pairs / PAIRS_PER_SECOND
    return OVERHEAD_OF_CLOSED_FORM * (pairs + 2.0 * requirements.n_multiplications / flops())


@cache
def flops() -> float:
    """Return the float32 operations per second of an inversion's products, measured once."""
    a, b = torch.ones(PANEL, PIVOT), torch.ones(PIVOT, PROBE_COLUMNS)
    best = float("inf")
    for _ in range(6):
        started = time.perf_counter()
        times(a, b)
        best = min(best, time.perf_counter() - started)
    return 2.0 * PANEL * PIVOT * PROBE_COLUMNS / best
