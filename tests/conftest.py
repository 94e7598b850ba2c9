"""Fixtures of all rooms; shapes written in annotations are checked at run time."""

from __future__ import annotations

import os
import signal
from pathlib import Path

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Shells start what runs in the background so, and the programs under test would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests run side by side, on networks too small for threads to help.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from jaxtyping import config as jaxtyping_config
from jaxtyping import install_import_hook

install_import_hook(["nearfar.kernels", "nearfar.vae", "nearfar.models"], "beartype.beartype")

import numpy as np
import pytest
from hypothesis import settings
from scipy.sparse import csr_array

from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import FoldIn, Interactions

settings.register_profile("nearfar", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("nearfar")

SHAPES_CHECKED = {
    "kernels", "vae", "models", "paper", "golden", "contracts", "algorithms", "train", "theory"
}  # fmt: skip
"""Rooms whose tests check shapes. It doubles the time of a training; the rooms above these call
the same functions."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    room = item.path.relative_to(Path(__file__).parent).parts[0]
    jaxtyping_config.update("jaxtyping_disable", room not in SHAPES_CHECKED)


def interactions(dense: np.ndarray) -> Interactions:
    """Interactions of a small dense matrix, with ids u0, u1, ... and 100, 101, ..."""
    users = Vocabulary([f"u{i}" for i in range(dense.shape[0])])
    items = Vocabulary([100 + i for i in range(dense.shape[1])])
    return Interactions(csr_array(dense.astype(np.float32)), users, items)


@pytest.fixture(scope="session")
def clusters() -> tuple[Interactions, FoldIn]:
    """Two tastes that share nothing: users meet about half of items 0-11, or of items 12-23.

    Item i of a taste is met more often the lower i is, so that popularity has an order.
    """
    rng = np.random.default_rng(3)
    dense = np.zeros((160, 24))
    for user in range(160):
        taste = 12 * (user % 2)
        dense[user, taste : taste + 12] = rng.random(12) < np.linspace(0.8, 0.35, 12)
    train, held_out = dense[:120], dense[120:]
    hidden = np.zeros_like(held_out)
    for row, full in zip(hidden, held_out, strict=True):
        chosen = rng.permutation(np.flatnonzero(full))[: int(0.4 * full.sum())]
        row[chosen] = 1
    return interactions(train), FoldIn(interactions(held_out - hidden), interactions(hidden))
