"""Histories inside a graph: entries with the user of each, from sparse or dense inputs."""

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
    """Sparse rows of ones inside a graph.

    Args:
        graph: what they are values of.
        indices: the item of each entry, [entries].
        bounds: where each row begins, and the end of the last, [batch + 1].
    """

    graph: Graph
    indices: Value
    bounds: Value

    @classmethod
    def of_inputs(cls, graph: Graph, form: Form, name: str, n_items: int) -> Entries:
        """Declare the inputs of some rows: `name`_indices and `name`_offsets, or `name` dense."""
        return _of_sparse(graph, name) if form == "sparse" else _of_dense(graph, name, n_items)

    @cached_property
    def starts(self) -> Value:
        return self.graph.op("Slice", self.bounds, *map(self.graph.constant, ([0], [-1])))

    @cached_property
    def counts(self) -> Value:
        """Entries per row, [batch, 1]."""
        g = self.graph
        ends = g.op("Slice", self.bounds, *map(g.constant, ([1], [np.iinfo(np.int64).max])))
        return g.op("Unsqueeze", g.op("Sub", ends, self.starts), g.constant([1]))

    @cached_property
    def batch(self) -> Value:
        """The number of rows, [1]."""
        return self.graph.op("Shape", self.starts)

    @cached_property
    def empty(self) -> Value:
        """Which rows have no entry, [batch, 1]."""
        return self.graph.op("Equal", self.counts, self.graph.constant([0]))

    @cached_property
    def rows(self) -> Value:
        """The row of each entry, [entries]."""
        g = self.graph
        n = g.op("Shape", self.indices)
        one_more = g.op("Add", n, g.constant([1]))
        nothing = g.op("Expand", g.constant([0]), one_more)
        ones = g.op("Expand", g.constant([1]), self.batch)
        begun = g.op("ScatterElements", nothing, self.starts, ones, axis=0, reduction="add")
        so_far = g.op("CumSum", g.op("Slice", begun, g.constant([0]), n), g.constant(0))
        return g.op("Sub", so_far, g.constant([1]))

    def positions(self, n_items: int) -> Value:
        """Where the entries are in a matrix of `n_items` columns, laid out row by row."""
        g = self.graph
        return g.op("Add", g.op("Mul", self.rows, g.constant([n_items])), self.indices)

    def each_row(self, body: Graph) -> Value:
        """Begin the body of a loop over the rows: the items of its row.

        A loop holds one row's weights at a time, however many rows there are.
        """
        g = body
        number = g.input(g.name("row"), TensorProto.INT64, [])
        condition = g.input(g.name("going"), TensorProto.BOOL, [])
        g.output(condition, g.name("goes"), TensorProto.BOOL, [])
        start = g.op("Unsqueeze", number, g.constant([0]))
        end = g.op("Add", start, g.constant([1]))
        after = g.op("Add", end, g.constant([1]))
        low, high = g.op("Slice", self.bounds, start, end), g.op("Slice", self.bounds, end, after)
        return g.op("Slice", self.indices, low, high)

    def row_sums(self, table: Value, width: int) -> Value:
        """X W: the rows of `table` summed over each row's entries, [batch, width]."""
        body = self.graph.body()
        mine = body.op("Gather", table, self.each_row(body), axis=0)
        summed = body.op("ReduceSum", mine, body.constant([0]), keepdims=0)
        body.output(summed, body.name("sum"), TensorProto.FLOAT, [width])
        return self.over_rows(body)

    def over_rows(self, body: Graph) -> Value:
        """The loop over all rows, what it gathered."""
        n = self.graph.op("Squeeze", self.batch)
        return self.graph.loop(n, "", body)[0]


def _of_sparse(graph: Graph, name: str) -> Entries:
    indices = graph.input(f"{name}_indices", TensorProto.INT64, [f"{name}_entries"])
    offsets = graph.input(f"{name}_offsets", TensorProto.INT64, ["batch"])
    end = graph.op("Shape", indices)
    return Entries(graph, indices, graph.op("Concat", offsets, end, axis=0))


def _of_dense(graph: Graph, name: str, n_items: int) -> Entries:
    given = graph.input(name, TensorProto.BOOL, ["batch", n_items])
    places = graph.op("NonZero", given)
    indices = graph.op("Gather", places, graph.constant(1), axis=0)
    ones = graph.op("Cast", given, to=TensorProto.INT64)
    counts = graph.op("ReduceSum", ones, graph.constant([1]), keepdims=0)
    ends = graph.op("CumSum", counts, graph.constant(0))
    return Entries(graph, indices, graph.op("Concat", graph.constant([0]), ends, axis=0))
