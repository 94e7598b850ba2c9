"""The graphs of a model: what they are given, what they give."""

from __future__ import annotations

from dataclasses import dataclass, field

from onnx import TensorProto

from nearfar.bundle.exports._graph import Graph, Value, Weights
from nearfar.bundle.exports._history import Entries, Form
from nearfar.bundle.exports._ranking import best, without
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
