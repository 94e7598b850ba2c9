"""Small bundles of each kind of model, built without training."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from scipy.sparse import csr_array

from nearfar.bundle.bundle import Bundle, BundleMetadata
from nearfar.core.vocabulary import Vocabulary
from nearfar.models.autoencoder import Architecture, Autoencoder
from nearfar.models.constant import Constant
from nearfar.models.item_item import ItemItem
from nearfar.models.model import Model
from nearfar.vae.corruption.corruption import Mask
from nearfar.vae.encoders.base import Base

KINDS = ("constant", "item_item", "autoencoder")
N_ITEMS = 12


def make_model(kind: str, n_items: int = N_ITEMS) -> Model:
    """A model with random weights; item i is the more popular the lower i is."""
    rng = np.random.default_rng(5)
    popularity = np.arange(n_items, 0, -1)
    if kind == "constant":
        return Constant(popularity, 50)
    if kind == "item_item":
        weights = rng.normal(size=(n_items, n_items)).astype(np.float32)
        return ItemItem(weights, popularity, 50)
    architecture = Architecture(n_items, 3, Base(hidden=(5,)), (4,), Mask(keep_prob=0.7))
    network = architecture.build(torch.Generator().manual_seed(1))
    anchors = rng.normal(size=(n_items, 3)).astype(np.float32)
    return Autoencoder(architecture, network, popularity, 50, anchors)


def make_items(n_items: int = N_ITEMS, *, text: bool = False, titles: bool = True) -> Vocabulary:
    """Ids 100, 101, ... or "i0", "i1", ..., with titles and genres; one title is missing."""
    ids = [f"i{i}" for i in range(n_items)] if text else [100 + i for i in range(n_items)]
    if not titles:
        return Vocabulary(ids)
    details = pl.DataFrame(
        {
            "title": [None if i == 3 else f'Film, "No" {i} (19{i:02})' for i in range(n_items)],
            "genres": [["Comedy", "Drama"][: i % 3] for i in range(n_items)],
        },
        schema_overrides={"title": pl.String, "genres": pl.List(pl.String)},
    )
    return Vocabulary(ids, details)


ABOUT = BundleMetadata(
    algorithm="ease",
    settings={"l2": 500.0, "user_exponent": 0.0},
    data={"name": "a log", "fingerprint": "f", "n_users": 50},
    metrics={"validation": {"recall@20": 0.25}},
    training=[{"epoch": 0, "loss": 1.5, "note": "a\u2028b"}, {"epoch": 1, "loss": 0.1}],
    seed=3,
    created="2026-01-02T03:04:05+00:00",
    versions={"nearfar": "0"},
)


def make_bundle(kind: str = "item_item", *, text: bool = False, titles: bool = True) -> Bundle:
    return Bundle(make_model(kind), make_items(text=text, titles=titles), ABOUT)


def some_histories(n_users: int = 7, n_items: int = N_ITEMS) -> csr_array:
    """Random histories; the first one is empty."""
    dense = (np.random.default_rng(2).random((n_users, n_items)) < 0.3).astype(np.float32)
    dense[0] = 0
    return csr_array(dense)
