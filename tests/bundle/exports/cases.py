"""Small models of every kind that can be exported, with random weights."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from scipy.sparse import csr_array

from nearfar.bundle.bundle import Bundle, BundleMetadata
from nearfar.core.ranking import Ranking
from nearfar.core.vocabulary import Vocabulary
from nearfar.models.autoencoder import Architecture, Autoencoder
from nearfar.models.constant import Constant
from nearfar.models.ensemble import Ensemble
from nearfar.models.factors import Factors, LeastSquaresFolding, LinearFolding
from nearfar.models.item_item import ItemItem
from nearfar.models.least_squares import Confidence
from nearfar.models.model import Model
from nearfar.vae.corruption.corruption import Clean, Dropout, Mask
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.deeper import Deeper
from nearfar.vae.encoders.dense import Dense
from nearfar.vae.encoders.hierarchical import Hierarchical
from nearfar.vae.encoders.iaf import IAF
from nearfar.vae.encoders.shallow import Shallow

N_ITEMS = 60
TIE = 1e-6

ARCHITECTURES = {
    "base": lambda n: Architecture(n, 4, Base((9,)), (7,), Dropout()),
    "base-clean-linear": lambda n: Architecture(n, 4, Base((9, 5)), (), Clean()),
    "deeper-mask": lambda n: Architecture(n, 4, Deeper((9, 8, 7)), (7, 6), Mask()),
    "gated": lambda n: Architecture(n, 4, Base((9, 6), "gated"), (7, 5), Dropout(), "gated"),
    "dense": lambda n: Architecture(n, 4, Dense(10, 4), (7,), Dropout()),
    "dense-one": lambda n: Architecture(n, 4, Dense(10, 1), (), Dropout()),
    "iaf": lambda n: Architecture(n, 5, IAF(Base((9,)), 3, 11), (7,), Dropout()),
    "iaf-dense": lambda n: Architecture(n, 4, IAF(Dense(8, 2), 2, 6), (7,), Mask()),
    "hierarchical": lambda n: Architecture(n, 6, Hierarchical(9), (7,), Mask(), "gated"),
    "hierarchical-tanh": lambda n: Architecture(n, 6, Hierarchical(9, "tanh"), (), Dropout()),
    "shallow-tanh": lambda n: Architecture(n, 4, Shallow("tanh"), (), Mask()),
    "shallow-sigmoid": lambda n: Architecture(n, 4, Shallow("sigmoid"), (), Dropout()),
    "shallow-linear": lambda n: Architecture(n, 4, Shallow("linear"), (), Dropout()),
}
CONFIDENCES = {
    "wmf": Confidence(0.1, 2.0, 0.0),
    "wmf-sharp": Confidence(0.001, 0.01, 1.0),
    "wmf-flat": Confidence(1.0, 3.0, 0.5),
}
ENSEMBLES = {
    "ensemble": {"item_item": 0.5, "projection": 0.2, "base": 0.3},
    "ensemble-anchors": {
        "constant": 0.1,
        "item_item": 0.0,
        "autoencoder-anchors": 2.0,
        "base": 1.0,
    },
}
ANCHORED = {"autoencoder-anchors": "base", "iaf-anchors": "iaf"}
"""Autoencoders with anchors -> their architecture."""

KINDS = (
    *ARCHITECTURES, *CONFIDENCES, *ANCHORED, "projection", "item_item", "constant",
    *ENSEMBLES,
)  # fmt: skip


def make_model(kind: str, n_items: int = N_ITEMS, k: int = 8) -> Model:
    """A model with random weights, no two items alike in popularity."""
    rng = np.random.default_rng(7)
    popularity = rng.permutation(n_items) + 1
    if kind == "constant":
        return Constant(popularity, 500)
    if kind in ENSEMBLES:
        parts = [make_model(part, n_items, k) for part in ENSEMBLES[kind]]
        return Ensemble(parts, list(ENSEMBLES[kind].values()))
    if kind == "item_item":
        return ItemItem(_normal(rng, n_items, n_items), popularity, 500)
    if kind in ("projection", *CONFIDENCES):
        factors, bias = _normal(rng, n_items, k), _normal(rng, n_items)
        if kind == "projection":
            folding = LinearFolding(_normal(rng, n_items, k), _normal(rng, k))
        else:
            folding = LeastSquaresFolding(factors, CONFIDENCES[kind])
        return Factors(factors, bias, folding, popularity, 500)
    architecture = ARCHITECTURES[ANCHORED.get(kind, kind)](n_items)
    network = architecture.build(torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            # fresh biases are near zero and norms near one: let none of them be left out unseen
            if name.endswith("bias") or "norms" in name:
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    anchors = _normal(rng, n_items, architecture.n_latent) if kind in ANCHORED else None
    return Autoencoder(architecture, network, popularity, 500, anchors)


def make_bundle(kind: str, n_items: int = N_ITEMS) -> Bundle:
    details = pl.DataFrame({"title": [f"Film {i}" if i % 7 else None for i in range(n_items)]})
    items = Vocabulary([f"i{i}" for i in range(n_items)], details)
    metadata = BundleMetadata("an-algorithm", settings={"l2": 1.0}, training=[{"epoch": 0}])
    return Bundle(make_model(kind, n_items), items, metadata)


def some_histories(n_users: int = 40, n_items: int = N_ITEMS) -> csr_array:
    """Histories of 0 to all items: the first is empty, the second whole, the last empty."""
    rng = np.random.default_rng(3)
    shares = rng.beta(0.6, 3, n_users)
    shares[0] = shares[-1] = 0
    shares[1] = 1
    return csr_array((rng.random((n_users, n_items)) < shares[:, None]).astype(np.float32))


def assert_same_but_for_ties(found: Ranking, wanted: Ranking, scores: np.ndarray) -> int:
    """Hold a ranking to another; returns how many places differ by ties.

    Args:
        found: what is tried.
        wanted: of the Python path.
        scores: of the Python path, of all items.
    """
    assert found.items.shape == wanted.items.shape
    assert ((found.items < 0) == (wanted.items < 0)).all()
    rows, places = np.nonzero(wanted.items >= 0)
    ours, theirs = found.items[rows, places], wanted.items[rows, places]
    wanted_scores = scores[rows, theirs]
    size = np.maximum(1, np.abs(wanted_scores))
    assert np.max(np.abs(scores[rows, ours] - wanted_scores) / size, initial=0) <= TIE
    reported = np.abs(found.scores[rows, places] - wanted_scores) / size
    assert np.max(reported, initial=0) <= 10 * TIE
    assert np.isneginf(found.scores[found.items < 0]).all()
    for row in range(len(found.items)):
        given = found.items[row][found.items[row] >= 0]
        assert len(set(given.tolist())) == len(given)
    return int((ours != theirs).sum())


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)
