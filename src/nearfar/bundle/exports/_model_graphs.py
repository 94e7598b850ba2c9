"""The ONNX graphs of a model, with their inputs and outputs."""

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
    """Builds the graphs of one model, which share their weights.

    Args:
        model: the fitted model.
        form: input form of the histories and the excluded items.
        k: number of recommended items; None makes it an input.
    """

    model: Model
    form: Form
    k: int | None
    weights: Weights = field(default_factory=Weights)

    def recommend(self) -> Graph:
        """Build the graph (histories, exclude, exclude_seen, k) -> (ids, scores)."""
        g, n_items = Graph(self.weights), self.model.n_items
        histories = self._rows(g, "histories")
        excluded = self._rows(g, "exclude")
        flag = g.input("exclude_seen", TensorProto.BOOL, [])
        k: int | Value = g.input("k", INT64, []) if self.k is None else self.k
        values = without(g, scores(self.model, histories), n_items, histories, excluded, flag)
        ids, best_scores = best(g, values, n_items, k)
        width = "k" if self.k is None else self.k
        g.output(ids, "ids", INT64, ["batch", width])
        g.output(best_scores, "scores", FLOAT, ["batch", width])
        return g

    def scores_at(self) -> Graph:
        """Build the graph (histories, items) -> scores, which are comparable across histories."""
        g = Graph(self.weights)
        histories = self._rows(g, "histories")
        items = g.input("items", INT64, ["batch", "asked"])
        values = scores(self.model, histories)
        item_scores = g.op("GatherElements", values, items, axis=1)
        if isinstance(self.model, Autoencoder):
            total = g.op("ReduceLogSumExp", values, g.constant([1]), keepdims=1)
            item_scores = g.op("Sub", item_scores, total)
        g.output(item_scores, "scores", FLOAT, ["batch", "asked"])
        return g

    def latents(self) -> Graph:
        """Build the graph histories -> latents: the posterior means, through the flow if any."""
        assert isinstance(self.model, Autoencoder)
        g = Graph(self.weights)
        z = latents(self.model, self._rows(g, "histories"))
        g.output(z, "latents", FLOAT, ["batch", self.model.architecture.n_latent])
        return g

    def _rows(self, graph: Graph, name: str) -> Entries:
        return Entries.of_inputs(graph, self.form, name, self.model.n_items)


def without(
    graph: Graph, scores: Value, n_items: int, seen: Entries, excluded: Entries, flag: Value
) -> Value:
    """Set the scores of excluded items to -inf; of seen items too if `flag` is true."""
    g = graph
    masked = seen.positions(n_items)
    n_seen = g.op("Mul", g.op("Shape", masked), g.op("Cast", flag, to=TensorProto.INT64))
    masked = g.op("Slice", masked, g.constant([0]), n_seen)
    masked = g.op("Concat", masked, excluded.positions(n_items), axis=0)
    infinities = g.op("Expand", g.constant([-np.inf], np.float32), g.op("Shape", masked))
    flat = g.op("Reshape", scores, g.constant([-1]))
    flat = g.op("ScatterElements", flat, masked, infinities, axis=0)
    return g.op("Reshape", flat, g.op("Shape", scores))


def best(graph: Graph, scores: Value, n_items: int, k: int | Value) -> tuple[Value, Value]:
    """Return ids and scores of the best k items per row; ties go to the lower id.

    Rows with fewer than k candidates are filled with id -1 and score -inf.

    Args:
        graph: the operators are added to it.
        scores: one row per user; -inf for items that are not candidates.
        n_items: number of columns.
        k: a number, or a scalar value of the graph.
    """
    g = graph
    n_requested = g.constant([k]) if isinstance(k, int) else g.op("Reshape", k, g.constant([1]))
    n_returned = g.op("Min", n_requested, g.constant([n_items]))
    values, items = g.ops("TopK", scores, n_returned, n_outputs=2, axis=1, largest=1, sorted=1)
    infinity = g.constant(-np.inf, np.float32)
    no_item = g.constant(-1)
    items = g.op("Where", g.op("Equal", values, infinity), no_item, items)
    if not isinstance(k, int) or k > n_items:
        missing = g.op("Sub", n_requested, n_returned)
        pads = g.op("Concat", g.constant([0, 0, 0]), missing, axis=0)
        items, values = g.op("Pad", items, pads, no_item), g.op("Pad", values, pads, infinity)
    return items, values
