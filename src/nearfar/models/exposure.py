"""How often new items are recommended: their scores' level."""

from __future__ import annotations

from functools import singledispatch

import numpy as np
import torch
from scipy.sparse import csr_array

from nearfar.core.seeding import generator
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.factors import Factors
from nearfar.models.item_item import ItemItem
from nearfar.models.model import Model

N_PROBES = 512
MAX_PROBE_ITEMS = 200
"""A probe is a history of one item, drawn by popularity, and the model's best for it; together as
many as a training user has on average, up to so many."""

N_PLACES = 20
"""Of each probe's list that new items take their share of."""


def with_share(
    model: Model, extended: Model, share: float, histories: csr_array | None, seed: int
) -> Model:
    """Return the extended model with its new items' scores changed so that they take a share.

    The new item at place r (from 0) of a probe's new items is among the first k of all exactly if
    its score is above that of the known item at place k - 1 - r. So the level is a quantile of
    what each would need.

    Args:
        model: before.
        extended: the same with new items after its own; changed in place.
        share: of the first `N_PLACES` places.
        histories: over the model's items; None for made-up ones.
        seed: of what is drawn.
    """
    probes = _probes(model, seed) if histories is None else _drawn(histories, seed)
    n_new = extended.n_items - model.n_items
    shape = (probes.shape[0], extended.n_items)
    wide = csr_array((probes.data, probes.indices, probes.indptr), shape=shape)
    k = min(N_PLACES, model.n_items)
    known = model.top_k(probes, k).scores.astype(np.float64)
    new = extended.top_k(wide, k, allow=np.arange(model.n_items, extended.n_items))
    n_ranked = min(k, n_new)
    score, bar = new.scores[:, :n_ranked].astype(np.float64), known[:, ::-1][:, :n_ranked]
    usable = np.isfinite(bar) & np.isfinite(score)
    if isinstance(model, ItemItem):
        usable &= (score > 0) & (bar > 0)
        needed = bar[usable] / score[usable]
    else:
        needed = bar[usable] - score[usable]
    if not len(needed):
        return extended
    place = min(len(needed) - 1, round(share * k * len(known)))
    return _raised(extended, model.n_items, float(np.sort(needed)[place]))


def _probes(model: Model, seed: int) -> csr_array:
    """Made-up histories over the model's items."""
    rng = generator(seed, "probes")
    chance = model.popularity / model.popularity.sum()
    first = rng.choice(model.n_items, N_PROBES, p=chance)
    ones = np.ones(N_PROBES, np.float32)
    shape = (N_PROBES, model.n_items)
    seeds = csr_array((ones, (np.arange(N_PROBES), first)), shape=shape)
    mean = round(float(model.popularity.sum()) / max(1, model.n_train_users))
    best = model.top_k(seeds, min(max(1, mean - 1), MAX_PROBE_ITEMS)).items
    rows, places = np.nonzero(best >= 0)
    data = np.concatenate([ones, np.ones(len(rows), np.float32)])
    rows = np.concatenate([np.arange(N_PROBES), rows])
    columns = np.concatenate([first, best[best >= 0]]) if len(places) else first
    return csr_array((data, (rows, columns)), shape=shape)


def _drawn(histories: csr_array, seed: int) -> csr_array:
    """Some histories that are not empty."""
    able = np.flatnonzero(np.diff(histories.indptr))
    n = min(N_PROBES, len(able))
    return histories[np.sort(generator(seed, "probes").choice(able, n, replace=False))]


@singledispatch
def _raised(model: Model, n_known: int, by: float) -> Model:
    """The model with the scores of its items from `n_known` on raised, or multiplied."""
    return model


@_raised.register
@torch.no_grad()
def _(model: Autoencoder, n_known: int, by: float) -> Model:
    model.network.decoder.out.bias[n_known:] += by
    return model


@_raised.register
def _(model: Factors, n_known: int, by: float) -> Model:
    model.item_bias[n_known:] += np.float32(by)
    return model


@_raised.register
def _(model: ItemItem, n_known: int, by: float) -> Model:
    model.weights[:, n_known:] *= np.float32(by)
    return model
