"""A small split with hostile titles, bundles of four kinds, and their report, made once."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from nearfar.algorithms.algorithm import Algorithm
from nearfar.algorithms.ease import EASE
from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.pia import PIA
from nearfar.algorithms.popularity import Popularity
from nearfar.bundle.bundle import Bundle
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import FoldIn, Interactions, Split
from nearfar.report.report import Options, Report, make_report
from nearfar.train.run import Run
from nearfar.vae.encoders.base import Base
from nearfar.vae.weights.linear_anneal import LinearAnneal

EVIL = '<script>alert("title")</script><b>bold</b> & </td>'
EVIL_NAME = "pia <img src=x onerror=alert(1)>"
N_ITEMS = 60
TINY: dict[str, Any] = {
    "n_latent": 4, "encoder": Base(hidden=(12,)), "decoder_hidden": (12,), "batch_size": 30,
    "epochs": 5, "beta": LinearAnneal(end=0.2, steps=10),
}  # fmt: skip
ALGORITHMS: dict[str, Algorithm] = {
    "pop": Popularity(),
    "ease": EASE(l2=10.0),
    "plain": MultVAE(**TINY),
    EVIL_NAME: MultVAE(**TINY, alignment=PIA(weight=0.1)),
}


@cache
def split() -> Split:
    """200 users of two tastes with 3 to 28 of 60 items; a fifth each for validation and test."""
    rng = np.random.default_rng(4)
    dense = np.zeros((200, N_ITEMS), np.float32)
    for user, row in enumerate(dense):
        taste = 30 * (user % 2)
        liked = rng.random(30) * np.linspace(1, 0.3, 30)
        row[taste + np.argsort(-liked)[: 3 + user % 26]] = 1
    titles = [f"Film {i} 'so' (19{i:02})" for i in range(N_ITEMS)]
    titles[0] = titles[30] = EVIL
    items = Vocabulary([100 + i for i in range(N_ITEMS)], pl.DataFrame({"title": titles}))
    everyone = np.arange(len(dense))

    def users(rows: np.ndarray, x: np.ndarray) -> Interactions:
        return Interactions(csr_array(x), Vocabulary([f"person-{r}" for r in rows]), items)

    def held_out(rows: np.ndarray) -> FoldIn:
        hidden = np.zeros((len(rows), N_ITEMS), np.float32)
        for row, full in zip(hidden, dense[rows], strict=True):
            row[rng.permutation(np.flatnonzero(full))[: max(1, int(full.sum() / 4))]] = 1
        return FoldIn(users(rows, dense[rows] - hidden), users(rows, hidden))

    validation, test = everyone[3::5], everyone[4::5]
    train = np.setdiff1d(everyone, np.r_[validation, test])
    protocol = {"log": EVIL, "kind": "strong", "counts": {"test": {"users": len(test)}}}
    return Split(users(train, dense[train]), held_out(validation), held_out(test), protocol)


@cache
def bundle(name: str) -> Bundle:
    run, algorithm, data = Run(seed=3), ALGORITHMS[name], split()
    model = algorithm.fit(data.train, data.validation, run=run)
    return Bundle.of(
        model, algorithm, data.train, seed=3, protocol=data.protocol, history=run.history
    )


def bundles(*names: str) -> dict[str, Bundle]:
    return {name: bundle(name) for name in names or ALGORITHMS}


@cache
def report() -> Report:
    """All four, with a map and the diagnostics of sixty users."""
    return make_report(bundles(), split(), Options(users=60, seed=5))


@cache
def plain_report(*names: str) -> Report:
    """Without map and diagnostics."""
    options = Options(users=60, seed=5, diagnostics=False, latent_map=False)
    return make_report(bundles(*names), split(), options)
