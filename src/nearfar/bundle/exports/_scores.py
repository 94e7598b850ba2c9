"""Fitted models as graphs: one function per kind."""

from __future__ import annotations

import math
from functools import singledispatch

import numpy as np
from onnx import TensorProto

from nearfar.bundle.exported import ITEM_WEIGHTS, OUTPUT
from nearfar.bundle.exports._graph_builder import Graph, Value
from nearfar.bundle.exports._history import Entries
from nearfar.bundle.exports._recording import present, translated
from nearfar.bundle.exports.export import unknown
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.constant import Constant
from nearfar.models.ensemble import Ensemble
from nearfar.models.factors import Factors, Folding, LeastSquaresFolding, LinearFolding
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


TOLERANCE = 1e-14
"""Of a residual, relative to the right side; a float32 result needs no more."""


@singledispatch
def folded(folding: Folding, entries: Entries) -> Value:
    """The factors of every row, float32.

    Raises:
        SettingsError: it is not known here.
    """
    raise unknown(folding)


@folded.register
def _(folding: LinearFolding, entries: Entries) -> Value:
    g = entries.graph
    table = g.weight("projection", folding.projection)
    sums = entries.row_sums(table, folding.projection.shape[1])
    return g.op("Add", sums, g.weight("offset", folding.offset))


@folded.register
def _(folding: LeastSquaresFolding, entries: Entries) -> Value:
    """A ridge regression a row, in float64, by conjugate gradients.

    With D = a V'V + p I, diagonal as V is turned, and G = V_S D^-1/2, the factors are
    D^-1/2 y turned back, where (I + (1 - a) G'G) y = G' 1. All eigenvalues of that system lie
    between 1 and 1 / a, for V_S'V_S is at most V'V; the number of steps that this needs is known
    beforehand, and a loop ends as soon as its residual is small enough. Items that do not count in
    V'V add at most one eigenvalue each outside these bounds, and one step.

    Source: Hestenes and Stiefel, Methods of Conjugate Gradients, 1952; the bound on the steps as
    in Shewchuk, An Introduction to the Conjugate Gradient Method, 1994, Eq. 52.
    """
    g, confidence = entries.graph, folding.confidence
    a = confidence.unobserved_weight
    ridge = folding.ridge
    table = g.weight("turned_factors", ridge.factors[:-1].numpy())
    n_items, k = folding.item_factors.shape
    n_background = n_items if folding.n_background is None else folding.n_background
    n_steps = math.ceil(math.sqrt(1 / a) / 2 * math.log(2 / TOLERANCE))
    n_steps += min(k, n_items - n_background)
    counts = g.op("Cast", entries.counts, to=TensorProto.DOUBLE)
    observed = g.op("Mul", counts, g.constant([1 - a], np.float64))
    weights = g.op("Add", observed, g.constant([a * n_background], np.float64))
    powers = g.op("Pow", weights, g.constant([confidence.l2_exponent], np.float64))
    penalties = g.op("Mul", powers, g.constant([confidence.l2], np.float64))
    spread = g.weight("spread", a * ridge.eigenvalues.numpy())
    diagonals = g.op("Add", penalties, spread)
    scales = g.op("Reciprocal", g.op("Sqrt", diagonals))

    body = g.body()
    mine = entries.each_row(body)
    number = body.inputs[0].name
    scale = body.op("Gather", scales, number, axis=0)
    scaled = body.op("Mul", body.op("Gather", table, mine, axis=0), scale)
    solved = _solve(body, scaled, 1 - a, n_steps)
    body.output(body.op("Mul", solved, scale), body.name("u"), TensorProto.DOUBLE, [k])
    turned = entries.over_rows(body)
    back = g.op("MatMul", turned, g.weight("basis", np.ascontiguousarray(ridge.basis.numpy().T)))
    return g.op("Cast", back, to=TensorProto.FLOAT)


def _solve(g: Graph, scaled: Value, extra: float, n_steps: int) -> Value:
    """y of (I + extra G'G) y = G' 1 for one row's G, by at most `n_steps` steps."""
    double = TensorProto.DOUBLE
    right = g.op("ReduceSum", scaled, g.constant([0]), keepdims=0)
    size = g.op("ReduceSumSquare", right, keepdims=0)
    enough = g.op("Mul", size, g.constant(TOLERANCE**2, np.float64))
    zero = g.op("Sub", right, right)

    step = g.body()
    step.input(step.name("step"), TensorProto.INT64, [])
    step.input(step.name("going"), TensorProto.BOOL, [])
    y, residual, direction = (step.input(step.name(n), double, None) for n in ("y", "r", "p"))
    left = step.input(step.name("size"), double, [])
    along = step.op("MatMul", scaled, step.op("Unsqueeze", direction, step.constant([1])))
    back = step.op("ReduceSum", step.op("Mul", scaled, along), step.constant([0]), keepdims=0)
    product = step.op("Add", direction, step.op("Mul", back, step.constant(extra, np.float64)))
    curve = step.op("ReduceSum", step.op("Mul", direction, product), keepdims=0)
    length = step.op("Div", left, curve)
    y = step.op("Add", y, step.op("Mul", length, direction))
    residual = step.op("Sub", residual, step.op("Mul", length, product))
    smaller = step.op("ReduceSumSquare", residual, keepdims=0)
    turn = step.op("Mul", step.op("Div", smaller, left), direction)
    step.output(step.op("Greater", smaller, enough), step.name("goes"), TensorProto.BOOL, [])
    for value, shape in ((y, None), (residual, None), (step.op("Add", residual, turn), None),
                         (smaller, [])):  # fmt: skip
        step.output(value, step.name("carried"), double, shape)

    going = g.op("Greater", size, g.constant(0, np.float64))
    return g.loop(g.constant(n_steps), going, step, zero, right, right, size)[0]
