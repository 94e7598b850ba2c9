"""Measure a fitted model's latent space, for the trade-off of section 2.4."""

from __future__ import annotations

import math

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.theory_subject import common_sample, subject_of
from nearfar.data.interactions import Split, whole_histories
from nearfar.theory.instrument import all_instruments

N_USERS = 1000

KEYS = {
    "distances": ("related", "unrelated"),
    "health": ("kl", "collapsed", "active"),
    "mask_drift": ("clean", "variance"),
    "information": ("clean_low", "clean_high", "clean_mismatch_low", "clean_mismatch"),
}
"""Name of the instrument -> keys of its numbers."""


def latent_numbers(bundle: Bundle, split: Split, seed: int) -> dict[str, float | None]:
    """Measure the whole histories of a sample of a split's users with the theory's instruments.

    Args:
        bundle: bundle of an autoencoder.
        split: split whose users are sampled.
        seed: random seed of the sample, the masks and the draws.

    Returns:
        "instrument.key" -> number, or None if there is none.
    """
    subject = subject_of(
        bundle, common_sample(whole_histories(split), [bundle], N_USERS, seed), seed=seed
    )
    numbers: dict[str, float | None] = {}
    instruments = all_instruments()
    for name, keys in KEYS.items():
        values = {n.key: n.value for n in instruments[name].measure(subject).numbers}
        for key in keys:
            value = values.get(key, math.nan)
            numbers[f"{name}.{key}"] = value if math.isfinite(value) else None
    return numbers
