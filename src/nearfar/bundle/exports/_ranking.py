"""The best k of every row as a graph."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from nearfar.bundle.exports._graph import Graph, Value
from nearfar.bundle.exports._history import Entries


def without(
    graph: Graph, scores: Value, n_items: int, seen: Entries, excluded: Entries, flag: Value
) -> Value:
    """Scores with -inf at what is excluded and, where `flag` is true, at what was seen."""
    g = graph
    places = seen.positions(n_items)
    n_seen = g.op("Mul", g.op("Shape", places), g.op("Cast", flag, to=TensorProto.INT64))
    places = g.op("Slice", places, g.constant([0]), n_seen)
    places = g.op("Concat", places, excluded.positions(n_items), axis=0)
    never = g.op("Expand", g.constant([-np.inf], np.float32), g.op("Shape", places))
    flat = g.op("Reshape", scores, g.constant([-1]))
    flat = g.op("ScatterElements", flat, places, never, axis=0)
    return g.op("Reshape", flat, g.op("Shape", scores))


def best(graph: Graph, scores: Value, n_items: int, k: int | Value) -> tuple[Value, Value]:
    """Ids and scores of the best k, the lower id first of equals; -1 where there are fewer.

    Args:
        graph: what it is added to.
        scores: -inf marks what is no candidate.
        n_items: columns.
        k: a number, or a scalar value of the graph.
    """
    g = graph
    wanted = g.constant([k]) if isinstance(k, int) else g.op("Reshape", k, g.constant([1]))
    possible = g.op("Min", wanted, g.constant([n_items]))
    values, items = g.ops("TopK", scores, possible, n_outputs=2, axis=1, largest=1, sorted=1)
    never = g.constant(-np.inf, np.float32)
    nobody = g.constant(-1)
    items = g.op("Where", g.op("Equal", values, never), nobody, items)
    if not isinstance(k, int) or k > n_items:
        missing = g.op("Sub", wanted, possible)
        pads = g.op("Concat", g.constant([0, 0, 0]), missing, axis=0)
        items, values = g.op("Pad", items, pads, nobody), g.op("Pad", values, pads, never)
    return items, values
