"""Set how often new items are recommended, by shifting or scaling their scores."""

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
"""Histories with which the level of the new items' scores is set."""

MAX_PROBE_ITEMS = 200
"""Items that a model recommends for a synthetic probe, at most; see `_probes`."""

N_PLACES = 20
"""Places of each probe's recommendation list of which new items take a share."""


def with_share(
    model: Model, extended: Model, share: float, histories: csr_array | None, seed: int
) -> Model:
    """Return the extended model with its new items' scores adjusted so that they take `share`.

    The r-th best new item of a probe (from 0) is among the first k of all items exactly if its
    score is above that of the known item at place k - 1 - r. Each such pair needs some shift of the
    score (or factor, in an item-item model); the shift applied is a quantile of these.

    Args:
        model: the model before the extension.
        extended: the model with new items after its own; changed in place.
        share: new items' share of the first `N_PLACES` places.
        histories: users x items of `model`, to use as probes; None for synthetic ones.
        seed: random seed for the probes.
    """
    probes = _probes(model, seed) if histories is None else _sample(histories, seed)
    n_new = extended.n_items - model.n_items
    shape = (probes.shape[0], extended.n_items)
    wide = csr_array((probes.data, probes.indices, probes.indptr), shape=shape)
    k = min(N_PLACES, model.n_items)
    known = model.top_k(probes, k).scores.astype(np.float64)
    new = extended.top_k(wide, k, allow=np.arange(model.n_items, extended.n_items))
    n_ranked = min(k, n_new)
    score, threshold = new.scores[:, :n_ranked].astype(np.float64), known[:, ::-1][:, :n_ranked]
    usable = np.isfinite(threshold) & np.isfinite(score)
    if isinstance(model, ItemItem):
        usable &= (score > 0) & (threshold > 0)
        shifts = threshold[usable] / score[usable]
    else:
        shifts = threshold[usable] - score[usable]
    if not len(shifts):
        return extended
    quantile = min(len(shifts) - 1, round(share * k * len(known)))
    return _shift_scores(extended, model.n_items, float(np.sort(shifts)[quantile]))


def _probes(model: Model, seed: int) -> csr_array:
    """Return synthetic histories, as long as those of training users are on average.

    Each has one item drawn by popularity and the items that the model ranks best for it.
    """
    rng = generator(seed, "probes")
    probabilities = model.popularity / model.popularity.sum()
    first_items = rng.choice(model.n_items, N_PROBES, p=probabilities)
    ones = np.ones(N_PROBES, np.float32)
    shape = (N_PROBES, model.n_items)
    first = csr_array((ones, (np.arange(N_PROBES), first_items)), shape=shape)
    mean = round(float(model.popularity.sum()) / max(1, model.n_train_users))
    best = model.top_k(first, min(max(1, mean - 1), MAX_PROBE_ITEMS)).items
    rows, places = np.nonzero(best >= 0)
    data = np.concatenate([ones, np.ones(len(rows), np.float32)])
    rows = np.concatenate([np.arange(N_PROBES), rows])
    columns = np.concatenate([first_items, best[best >= 0]]) if len(places) else first_items
    return csr_array((data, (rows, columns)), shape=shape)


def _sample(histories: csr_array, seed: int) -> csr_array:
    """Return up to `N_PROBES` random histories that are not empty."""
    non_empty = np.flatnonzero(np.diff(histories.indptr))
    n = min(N_PROBES, len(non_empty))
    return histories[np.sort(generator(seed, "probes").choice(non_empty, n, replace=False))]


@singledispatch
def _shift_scores(model: Model, n_known: int, by: float) -> Model:
    """Return the model with `by` added to the scores of items from `n_known` on, in place.

    In an item-item model, whose scores have no bias, they are multiplied by it.
    """
    return model


@_shift_scores.register
@torch.no_grad()
def _(model: Autoencoder, n_known: int, by: float) -> Model:
    model.network.decoder.out.bias[n_known:] += by
    return model


@_shift_scores.register
def _(model: Factors, n_known: int, by: float) -> Model:
    model.item_bias[n_known:] += np.float32(by)
    return model


@_shift_scores.register
def _(model: ItemItem, n_known: int, by: float) -> Model:
    model.weights[:, n_known:] *= np.float32(by)
    return model
