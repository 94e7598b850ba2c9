"""Histories inside an ONNX graph, as sparse rows made from sparse or dense inputs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from onnx import TensorProto

from nearfar.bundle.exports._graph_builder import Graph, Value

Form = Literal["sparse", "dense"]


@dataclass(frozen=True)
class Entries:
    """A binary CSR matrix inside a graph.

    Args:
        graph: the graph whose values these are.
        indices: the item of each entry, [entries].
        bounds: where each row begins, and where the last one ends, [batch + 1].
    """

    graph: Graph
    indices: Value
    bounds: Value

    @classmethod
    def of_inputs(cls, graph: Graph, form: Form, name: str, n_items: int) -> Entries:
        """Declare the inputs of a matrix: `name`_indices and `name`_offsets, or `name` if dense."""
        return _of_sparse(graph, name) if form == "sparse" else _of_dense(graph, name, n_items)

    @cached_property
    def starts(self) -> Value:
        """Where each row begins, [batch]."""
        return self.graph.op("Slice", self.bounds, *map(self.graph.constant, ([0], [-1])))

    @cached_property
    def counts(self) -> Value:
        """Number of entries per row, [batch, 1]."""
        g = self.graph
        ends = g.op("Slice", self.bounds, *map(g.constant, ([1], [np.iinfo(np.int64).max])))
        return g.op("Unsqueeze", g.op("Sub", ends, self.starts), g.constant([1]))

    @cached_property
    def batch(self) -> Value:
        """The number of rows, [1]."""
        return self.graph.op("Shape", self.starts)

    @cached_property
    def empty(self) -> Value:
        """Whether each row is empty, [batch, 1]."""
        return self.graph.op("Equal", self.counts, self.graph.constant([0]))

    @cached_property
    def rows(self) -> Value:
        """The row of each entry, [entries]."""
        g = self.graph
        n = g.op("Shape", self.indices)
        n_plus_1 = g.op("Add", n, g.constant([1]))
        zeros = g.op("Expand", g.constant([0]), n_plus_1)
        ones = g.op("Expand", g.constant([1]), self.batch)
        n_begun = g.op("ScatterElements", zeros, self.starts, ones, axis=0, reduction="add")
        total = g.op("CumSum", g.op("Slice", n_begun, g.constant([0]), n), g.constant(0))
        return g.op("Sub", total, g.constant([1]))

    def positions(self, n_items: int) -> Value:
        """Return the flat index of each entry in a dense row-major matrix of `n_items` columns."""
        g = self.graph
        return g.op("Add", g.op("Mul", self.rows, g.constant([n_items])), self.indices)

    def each_row(self, body: Graph) -> Value:
        """Begin the body of a loop over the rows; return the items of its row.

        A loop needs memory for the weights of one row at a time only.
        """
        g = body
        number = g.input(g.name("row"), TensorProto.INT64, [])
        condition = g.input(g.name("going"), TensorProto.BOOL, [])
        g.output(condition, g.name("goes"), TensorProto.BOOL, [])
        start = g.op("Unsqueeze", number, g.constant([0]))
        end = g.op("Add", start, g.constant([1]))
        next_end = g.op("Add", end, g.constant([1]))
        low, high = (
            g.op("Slice", self.bounds, start, end),
            g.op("Slice", self.bounds, end, next_end),
        )
        return g.op("Slice", self.indices, low, high)

    def row_sums(self, table: Value, width: int) -> Value:
        """Return X W: per row, the sum of the rows of `table` at its entries, [batch, width]."""
        body = self.graph.body()
        gathered = body.op("Gather", table, self.each_row(body), axis=0)
        summed = body.op("ReduceSum", gathered, body.constant([0]), keepdims=0)
        body.output(summed, body.name("sum"), TensorProto.FLOAT, [width])
        return self.over_rows(body)

    def over_rows(self, body: Graph) -> Value:
        """Add the loop over all rows; return its stacked outputs."""
        n = self.graph.op("Squeeze", self.batch)
        return self.graph.loop(n, "", body)[0]


def _of_sparse(graph: Graph, name: str) -> Entries:
    indices = graph.input(f"{name}_indices", TensorProto.INT64, [f"{name}_entries"])
    offsets = graph.input(f"{name}_offsets", TensorProto.INT64, ["batch"])
    end = graph.op("Shape", indices)
    return Entries(graph, indices, graph.op("Concat", offsets, end, axis=0))


def _of_dense(graph: Graph, name: str, n_items: int) -> Entries:
    dense = graph.input(name, TensorProto.BOOL, ["batch", n_items])
    nonzero = graph.op("NonZero", dense)
    indices = graph.op("Gather", nonzero, graph.constant(1), axis=0)
    ones = graph.op("Cast", dense, to=TensorProto.INT64)
    counts = graph.op("ReduceSum", ones, graph.constant([1]), keepdims=0)
    ends = graph.op("CumSum", counts, graph.constant(0))
    return Entries(graph, indices, graph.op("Concat", graph.constant([0]), ends, axis=0))
