"""The memory and work of a fit, estimated before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.data.interactions import Interactions

FLOAT_BYTES = 4
COPIES_OF_FACTORS = 4
"""Copies of the factors at the peak: new and old values, and the products of a half step."""


@dataclass(frozen=True)
class Requirements:
    """Memory and work of a fit, estimated from the sizes of the training data.

    Args:
        n_bytes: memory at the peak, without the training data.
        n_multiplications: multiplications in float32 products, for a fit that cannot be stopped
            before its end; 0 for a fit that reports its steps.
        n_pairs: pairs of interactions that such a fit counts for a Gram matrix.
    """

    n_bytes: int = 0
    n_multiplications: float = 0.0
    n_pairs: float = 0.0


def factor_bytes(n_factors: int, train: Interactions) -> int:
    """Return the peak memory of fitting a factor model with `n_factors` per user and item."""
    return FLOAT_BYTES * COPIES_OF_FACTORS * n_factors * (train.n_users + train.n_items)
