"""Derive independent random streams from one seed, by name."""

from __future__ import annotations

import hashlib

import numpy as np


def derive(seed: int, *names: str | int) -> int:
    """Return the 63-bit seed of a random stream, a pure function of `seed` and `names`.

    Streams with different names are independent for all practical purposes. So the noise of a step
    depends only on (seed, step), and a resumed run needs no generator state.
    """
    text = "/".join([str(int(seed)), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a NumPy generator of the stream `names` of `seed`."""
    return np.random.default_rng(derive(seed, *names))
