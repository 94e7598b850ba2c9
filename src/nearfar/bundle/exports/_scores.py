"""Builds the graphs of scores and latents: one function per kind of model."""

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
    """Add a model's scores, [batch, n_items]; empty histories are scored by popularity.

    Raises:
        SettingsError: the model's kind cannot be exported.
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
    terms = []
    for number, (part, weight) in enumerate(model.active):
        # `Exported.item_vectors` reads the tables without a prefix.
        with g.weights_named("" if part is model.comparing else f"part-{number}."):
            standardised = _standardised(g, scores(part, entries))
        terms.append(g.op("Mul", standardised, g.constant([weight], np.float32)))
    popularity = g.weight(POPULARITY, _popularity(model))
    return g.op("Where", entries.empty, popularity, g.op("Sum", *terms))


def _standardised(g: Graph, values: Value) -> Value:
    """Scale rows to mean 0 and standard deviation 1; constant rows to 0."""
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
    """Add the decoder's input z at test time, [batch, n_latent]."""
    history = present(entries, model.architecture.corruption)
    return translated(model.network, history, lambda net, x: net.encoder.draw(x, None).z)


def _linear(
    model: Model, entries: Entries, hidden: Value, weight: np.ndarray, bias: np.ndarray
) -> Value:
    """Add W h + b, or popularity for empty rows, as one product by [h, 1, 0] or [0, 0, 1]."""
    g = entries.graph
    rows = [weight.T, bias[None], _popularity(model)]
    table = g.weight(OUTPUT, np.ascontiguousarray(np.concatenate(rows)))
    empty = g.op("Cast", entries.empty, to=TensorProto.FLOAT)
    nonempty = g.op("Sub", g.constant([1], np.float32), empty)
    inputs = g.op("Concat", g.op("Mul", hidden, nonempty), nonempty, empty, axis=1)
    return g.op("MatMul", inputs, table)


def _popularity(model: Model) -> np.ndarray:
    return model.popularity.astype(np.float32)[None]


TOLERANCE = 1e-14
"""Of a residual, relative to the right side; enough for a float32 result."""


@singledispatch
def folded(folding: Folding, entries: Entries) -> Value:
    """Add the user factors of every row, float32.

    Raises:
        SettingsError: the folding cannot be exported.
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
    """Solve one ridge regression per row, in float64, by conjugate gradients.

    V is rotated so that D = a V'V + p I is diagonal. With G = V_S D^-1/2, the factors are D^-1/2 y
    rotated back, where (I + (1 - a) G'G) y = G' 1. All eigenvalues of that system lie between 1
    and 1 / a, because V_S'V_S is at most V'V. This bounds the number of steps; a loop ends earlier
    if its residual is small enough. Each item that does not count in V'V adds at most one
    eigenvalue outside these bounds, and one step.

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
    scaled_eigenvalues = g.weight("spread", a * ridge.eigenvalues.numpy())
    diagonals = g.op("Add", penalties, scaled_eigenvalues)
    scales = g.op("Reciprocal", g.op("Sqrt", diagonals))

    body = g.body()
    items = entries.each_row(body)
    row = body.inputs[0].name
    scale = body.op("Gather", scales, row, axis=0)
    scaled = body.op("Mul", body.op("Gather", table, items, axis=0), scale)
    solved = _solve(body, scaled, 1 - a, n_steps)
    body.output(body.op("Mul", solved, scale), body.name("u"), TensorProto.DOUBLE, [k])
    rotated = entries.over_rows(body)
    basis = g.weight("basis", np.ascontiguousarray(ridge.basis.numpy().T))
    return g.op("Cast", g.op("MatMul", rotated, basis), to=TensorProto.FLOAT)


def _solve(g: Graph, scaled: Value, extra: float, n_steps: int) -> Value:
    """Solve (I + extra G'G) y = G' 1 for the G of one row, in at most `n_steps` steps."""
    double = TensorProto.DOUBLE
    right = g.op("ReduceSum", scaled, g.constant([0]), keepdims=0)
    norm2 = g.op("ReduceSumSquare", right, keepdims=0)
    tolerance2 = g.op("Mul", norm2, g.constant(TOLERANCE**2, np.float64))
    zero = g.op("Sub", right, right)

    step = g.body()
    step.input(step.name("step"), TensorProto.INT64, [])
    step.input(step.name("going"), TensorProto.BOOL, [])
    y, residual, direction = (step.input(step.name(n), double, None) for n in ("y", "r", "p"))
    residual_norm2 = step.input(step.name("size"), double, [])
    g_direction = step.op("MatMul", scaled, step.op("Unsqueeze", direction, step.constant([1])))
    gg_direction = step.op(
        "ReduceSum", step.op("Mul", scaled, g_direction), step.constant([0]), keepdims=0
    )
    product = step.op(
        "Add", direction, step.op("Mul", gg_direction, step.constant(extra, np.float64))
    )
    curvature = step.op("ReduceSum", step.op("Mul", direction, product), keepdims=0)
    step_size = step.op("Div", residual_norm2, curvature)
    y = step.op("Add", y, step.op("Mul", step_size, direction))
    residual = step.op("Sub", residual, step.op("Mul", step_size, product))
    new_norm2 = step.op("ReduceSumSquare", residual, keepdims=0)
    old_direction = step.op("Mul", step.op("Div", new_norm2, residual_norm2), direction)
    step.output(step.op("Greater", new_norm2, tolerance2), step.name("goes"), TensorProto.BOOL, [])
    direction = step.op("Add", residual, old_direction)
    for value, shape in ((y, None), (residual, None), (direction, None), (new_norm2, [])):
        step.output(value, step.name("carried"), double, shape)

    going = g.op("Greater", norm2, g.constant(0, np.float64))
    return g.loop(g.constant(n_steps), going, step, zero, right, right, norm2)[0]
