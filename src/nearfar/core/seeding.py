"""One seed for everything: independent streams derived from it by name."""

from __future__ import annotations

import hashlib

import numpy as np


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for one stream of randomness, a pure function of `seed` and `names`.

    Streams of different names are independent for all practical purposes, so that a step's
    noise is known from (seed, step) alone and a resumed run needs no generator state.
    """
    text = "/".join([str(int(seed)), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator on the stream `names` of `seed`."""
    return np.random.default_rng(derive(seed, *names))
