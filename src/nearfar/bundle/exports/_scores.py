"""Fitted models as graphs: one function per kind."""

from __future__ import annotations

from functools import singledispatch

import numpy as np
from onnx import TensorProto

from nearfar.bundle.exported import ITEM_WEIGHTS, OUTPUT
from nearfar.bundle.exports._foldings import folded
from nearfar.bundle.exports._graph import Graph, Value
from nearfar.bundle.exports._history import Entries
from nearfar.bundle.exports._known import unknown
from nearfar.bundle.exports._recording import present, translated
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.constant import Constant
from nearfar.models.ensemble import Ensemble
from nearfar.models.factors import Factors
from nearfar.models.item_item import ItemItem
from nearfar.models.model import Model

POPULARITY = "popularity_scores"


@singledispatch
def scores(model: Model, entries: Entries) -> Value:
    """A model's scores, [batch, n_items]; those of empty histories are popularity.

    Raises:
        SettingsError: its kind is not known here.
    """
    raise unknown(model)


@scores.register
def _(model: Constant, entries: Entries) -> Value:
    g = entries.graph
    shape = g.op("Concat", entries.batch, g.constant([model.n_items]), axis=0)
    return g.op("Expand", g.weight(POPULARITY, _popularity(model)), shape)


@scores.register
def _(model: ItemItem, entries: Entries) -> Value:
    g = entries.graph
    sums = entries.row_sums(g.weight(ITEM_WEIGHTS, model.weights), model.n_items)
    return g.op("Where", entries.empty, g.weight(POPULARITY, _popularity(model)), sums)


@scores.register
def _(model: Factors, entries: Entries) -> Value:
    return _linear(
        model, entries, folded(model.folding, entries), model.item_factors, model.item_bias
    )


@scores.register
def _(model: Autoencoder, entries: Entries) -> Value:
    history = present(entries, model.architecture.corruption)
    hidden = translated(
        model.network, history, lambda net, x: net.decoder.body(net.encoder.draw(x, None).z)
    )
    out = model.network.decoder.out
    weight, bias = (array.detach().cpu().numpy() for array in (out.weight, out.bias))
    return _linear(model, entries, hidden, weight, bias)


@scores.register
def _(model: Ensemble, entries: Entries) -> Value:
    g = entries.graph
    added = []
    for number, (part, weight) in enumerate(model.active):
        # Items are compared by the tables without a prefix, see `Exported.item_vectors`.
        with g.weights_named("" if part is model.comparing else f"part-{number}."):
            standardised = _standardised(g, scores(part, entries))
        added.append(g.op("Mul", standardised, g.constant([weight], np.float32)))
    popularity = g.weight(POPULARITY, _popularity(model))
    return g.op("Where", entries.empty, popularity, g.op("Sum", *added))


def _standardised(g: Graph, values: Value) -> Value:
    """Rows at mean 0 and standard deviation 1; constant rows at 0."""
    columns = g.constant([1])
    centred = g.op("Sub", values, g.op("ReduceMean", values, columns, keepdims=1))
    squares = g.op("Mul", centred, centred)
    variance = g.op("ReduceMean", squares, columns, keepdims=1)
    zero, one = (g.constant([value], np.float32) for value in (0, 1))
    high = g.op("ReduceMax", values, columns, keepdims=1)
    low = g.op("ReduceMin", values, columns, keepdims=1)
    varied = g.op("And", g.op("Less", low, high), g.op("Less", zero, variance))
    deviation = g.op("Sqrt", g.op("Where", varied, variance, one))
    return g.op("Where", varied, g.op("Div", centred, deviation), zero)


def latents(model: Autoencoder, entries: Entries) -> Value:
    """What an autoencoder's decoder is given at test time, [batch, n_latent]."""
    history = present(entries, model.architecture.corruption)
    return translated(model.network, history, lambda net, x: net.encoder.draw(x, None).z)


def _linear(
    model: Model, entries: Entries, hidden: Value, weight: np.ndarray, bias: np.ndarray
) -> Value:
    """W h + b, or the popularity of the items, in one product: [h, 1, 0] or [0, 0, 1]."""
    g = entries.graph
    rows = [weight.T, bias[None], _popularity(model)]
    table = g.weight(OUTPUT, np.ascontiguousarray(np.concatenate(rows)))
    empty = g.op("Cast", entries.empty, to=TensorProto.FLOAT)
    present = g.op("Sub", g.constant([1], np.float32), empty)
    wide = g.op("Concat", g.op("Mul", hidden, present), present, empty, axis=1)
    return g.op("MatMul", wide, table)


def _popularity(model: Model) -> np.ndarray:
    return model.popularity.astype(np.float32)[None]
