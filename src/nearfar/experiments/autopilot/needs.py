"""What a fit needs, estimated before it starts: memory, and the time of a closed form."""

from __future__ import annotations

import time
from functools import cache

import numpy as np
import torch

from nearfar.algorithms.algorithm import Algorithm
from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.algorithms.ease import EASE
from nearfar.algorithms.edlae import EDLAE
from nearfar.algorithms.plrec import PLRec
from nearfar.algorithms.regularised_gram import (
    PANEL,
    PIVOT,
    goes_by_users,
    n_multiplications,
    peak_bytes,
)
from nearfar.core import memory
from nearfar.data.interactions import Interactions
from nearfar.kernels.products import times
from nearfar.models.model import BATCH_BYTES
from nearfar.vae.initialisers.spectral import OVERSAMPLING

FLOAT_BYTES = 4
COPIES_OF_WEIGHTS = 5
"""Weights, gradients, two moments of Adam, and the best epoch's weights."""

COPIES_OF_FACTORS = 4
"""Factors of a side, their old values, and the products that a half step makes."""

BYTES_PER_INTERACTION = 64
"""The matrix by user and by item, its indices as int64, and values beside them."""

PROBE = 8192
"""Columns of the product whose time tells how fast this machine is."""

GRAM_PER_SECOND = 6e7
"""Pairs of a user's items, or of an item's users, that are counted per second, at the least."""

OVERHEAD_OF_CLOSED_FORM = 1.5
"""How much longer a fit takes than these two parts."""


def needed_bytes(algorithm: Algorithm, train: Interactions) -> int:
    """Return about how much memory a fit and its evaluation take, beside the data.

    Args:
        algorithm: with all settings filled in.
        train: what it is fitted on.
    """
    n_users, n_items = train.n_users, train.n_items
    base = BYTES_PER_INTERACTION * train.n_interactions + 2 * BATCH_BYTES
    if isinstance(algorithm, EASE | EDLAE):
        return base + peak_bytes(n_users, n_items, train.n_interactions)
    k = getattr(algorithm, "n_factors", None)
    if isinstance(k, int):
        return base + FLOAT_BYTES * COPIES_OF_FACTORS * k * (n_users + n_items)
    if isinstance(algorithm, AutoencoderAlgorithm):
        weights = COPIES_OF_WEIGHTS * _n_parameters(algorithm, n_items)
        batch = getattr(algorithm, "batch_size", 0)
        scores = min(3 * FLOAT_BYTES * batch * n_items, 512 << 20)
        n_latent = getattr(algorithm, "n_latent", 0)
        start = 3 * (n_latent + OVERSAMPLING) * (n_users + n_items)
        return base + FLOAT_BYTES * (weights + start) + scores
    return base


def _n_parameters(algorithm: AutoencoderAlgorithm, n_items: int) -> int:
    """Return the number of weights; a network has a fixed part and one part per item."""

    def count(n: int) -> int:
        network = algorithm.architecture(n).build(torch.Generator().manual_seed(0))
        return sum(p.numel() for p in network.parameters())

    two, three = count(2), count(3)
    return two + (n_items - 2) * (three - two)


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
    if isinstance(algorithm, PLRec):
        return OVERHEAD_OF_CLOSED_FORM * 2.0 * algorithm.n_multiplications(train) / flops()
    if not isinstance(algorithm, EASE | EDLAE):
        return 0.0
    sizes = train.n_users, train.n_items, train.n_interactions
    counts = train.item_counts if goes_by_users(*sizes) else np.diff(train.x.indptr)
    gram = float(np.square(counts, dtype=np.float64).sum()) / GRAM_PER_SECOND
    work = n_multiplications(*sizes)
    return OVERHEAD_OF_CLOSED_FORM * (gram + 2.0 * work / flops())


@cache
def flops() -> float:
    """Return the float32 operations per second of an inversion's products, measured once."""
    a, b = torch.ones(PANEL, PIVOT), torch.ones(PIVOT, PROBE)
    best = float("inf")
    for _ in range(6):
        started = time.perf_counter()
        times(a, b)
        best = min(best, time.perf_counter() - started)
    return 2.0 * PANEL * PIVOT * PROBE / best
