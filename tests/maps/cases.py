"""Splits and models for maps, small and with known latents."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import torch
from scipy.sparse import csr_array

from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import FoldIn, Interactions, Split
from nearfar.models.model import LatentModel
from nearfar.vae.posterior import DiagonalGaussian


class Linear(LatentModel):
    """mu = x W, so that a test knows every latent; scores are popularity."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__(np.arange(len(weights))[::-1].copy(), 100)
        self.weights = weights.astype(np.float32)

    def encode(self, histories: csr_array) -> DiagonalGaussian:
        mu = torch.from_numpy(np.asarray(histories @ self.weights, np.float32))
        return DiagonalGaussian(mu, torch.zeros_like(mu))

    def _write_scores(self, histories: csr_array, out: torch.Tensor) -> None:
        out[:] = torch.from_numpy(self.popularity.astype(np.float32))

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, {}

    @classmethod
    def restore(cls, description, arrays, popularity, n_train_users) -> Linear:
        raise NotImplementedError("the cases are never saved")


def blobs(distance: float, n: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three balls of standard deviation 1 in five dimensions, their centres along a line."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], n)
    points = rng.standard_normal((3 * n, 5))
    points[:, 0] += distance * labels
    return points, labels


def split_of_sizes(seed: int = 0) -> Split:
    """Users with 2, 6 and 18 of 40 items, thirty each, a third of them held out; titled items."""
    rng = np.random.default_rng(seed)
    sizes = np.repeat([2, 6, 18], 30)
    x = np.zeros((len(sizes), 40), np.float32)
    for row, size in zip(x, sizes, strict=True):
        row[rng.choice(40, size, replace=False)] = 1
    details = pl.DataFrame({"title": [f"Film {i} <b>&</b>" for i in range(40)]})
    items = Vocabulary(list(range(40)), details)

    def users(rows: np.ndarray, x: np.ndarray) -> Interactions:
        return Interactions(csr_array(x), Vocabulary([f"u{r}" for r in rows]), items)

    def held_out(rows: np.ndarray) -> FoldIn:
        hidden = np.zeros((len(rows), 40), np.float32)
        for row, full in zip(hidden, x[rows], strict=True):
            row[np.flatnonzero(full)[0]] = 1
        return FoldIn(users(rows, x[rows] - hidden), users(rows, hidden))

    everyone = np.arange(len(sizes))
    test, validation = everyone[::6], everyone[1::6]
    train = np.setdiff1d(everyone, np.r_[test, validation])
    return Split(users(train, x[train]), held_out(validation), held_out(test))
