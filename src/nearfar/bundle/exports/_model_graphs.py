"""The graphs of a model: what they are given, what they give."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from onnx import TensorProto

from nearfar.bundle.exports._graph_builder import Graph, Value, Weights
from nearfar.bundle.exports._history import Entries, Form
from nearfar.bundle.exports._scores import latents, scores
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.model import Model

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


@dataclass(frozen=True)
class Graphs:
    """The graphs of one model, on the same weights.

    Args:
        model: what they are of.
        form: of histories and of what is excluded.
        k: how many items are recommended; None makes it an input.
    """

    model: Model
    form: Form
    k: int | None
    weights: Weights = field(default_factory=Weights)

    def recommend(self) -> Graph:
        """histories, exclude, exclude_seen, k -> ids, scores."""
        g, n_items = Graph(self.weights), self.model.n_items
        histories = self._rows(g, "histories")
        excluded = self._rows(g, "exclude")
        flag = g.input("exclude_seen", TensorProto.BOOL, [])
        k: int | Value = g.input("k", INT64, []) if self.k is None else self.k
        found = without(g, scores(self.model, histories), n_items, histories, excluded, flag)
        ids, values = best(g, found, n_items, k)
        width = "k" if self.k is None else self.k
        g.output(ids, "ids", INT64, ["batch", width])
        g.output(values, "scores", FLOAT, ["batch", width])
        return g

    def scores_at(self) -> Graph:
        """histories, items -> scores: of some items, comparable between histories."""
        g = Graph(self.weights)
        histories = self._rows(g, "histories")
        items = g.input("items", INT64, ["batch", "asked"])
        values = scores(self.model, histories)
        found = g.op("GatherElements", values, items, axis=1)
        if isinstance(self.model, Autoencoder):
            total = g.op("ReduceLogSumExp", values, g.constant([1]), keepdims=1)
            found = g.op("Sub", found, total)
        g.output(found, "scores", FLOAT, ["batch", "asked"])
        return g

    def latents(self) -> Graph:
        """histories -> latents: the posteriors' means, through the flow if any."""
        assert isinstance(self.model, Autoencoder)
        g = Graph(self.weights)
        found = latents(self.model, self._rows(g, "histories"))
        g.output(found, "latents", FLOAT, ["batch", self.model.architecture.n_latent])
        return g

    def _rows(self, graph: Graph, name: str) -> Entries:
        return Entries.of_inputs(graph, self.form, name, self.model.n_items)


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
