"""Builds ONNX graphs operator by operator, with their weights in one file beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

OPSET = 18
IR_VERSION = 8
"""The oldest version with this opset: ONNX 1.13, ONNX Runtime 1.14, both of 2023."""

Value = str
"""The name of a value in a graph."""


@dataclass(frozen=True)
class Weights:
    """The weights of one or more graphs by name; a name is stored once."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def save(self, path: Path) -> dict[str, tuple[int, int]]:
        """Write a safetensors file; return the offset and length in bytes of each array."""
        save_file({k: np.ascontiguousarray(v) for k, v in self.arrays.items()}, path)
        with path.open("rb") as file:
            n_header = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(n_header))
        locations = {}
        for name in self.arrays:
            start, end = header[name]["data_offsets"]
            locations[name] = (8 + n_header + start, end - start)
        return locations


@dataclass
class Graph:
    """A graph under construction; operators run in the order in which they are added.

    Args:
        weights: stores large arrays.
        within: for a loop's body, the outer graph, whose values it can read.
        prefix: begins the names of the weights that are added next, see `weights_named`.
    """

    weights: Weights
    within: Graph | None = None
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    n_values: int = 0
    prefix: str = ""

    @property
    def root(self) -> Graph:
        """The outermost graph."""
        return self if self.within is None else self.within.root

    @cached_property
    def initialisers(self) -> dict[str, onnx.TensorProto]:
        """Constants and weights by name; only the root has any."""
        return {}

    def name(self, what: str) -> Value:
        """Return a unique name for a value."""
        self.root.n_values += 1
        return f"{what}_{self.root.n_values}"

    def op(self, kind: str, *inputs: Value, **attributes: Any) -> Value:
        """Add an operator and return its output."""
        return self.ops(kind, *inputs, n_outputs=1, **attributes)[0]

    def ops(self, kind: str, *inputs: Value, n_outputs: int, **attributes: Any) -> list[Value]:
        """Add an operator and return its `n_outputs` outputs."""
        outputs = [self.name(kind.lower()) for _ in range(n_outputs)]
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs

    def constant(self, value: Any, dtype: Any = np.int64) -> Value:
        """Add a small constant, stored in the graph."""
        array = np.asarray(value, dtype)
        text = "x".join(map(str, array.reshape(-1).tolist()))
        name = f"constant_{array.dtype}_{array.ndim}_{text}"
        self.root.initialisers.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def weight(self, name: str, array: np.ndarray) -> Value:
        """Add a large constant, stored beside the graph under the current prefix and `name`."""
        name = self.root.prefix + name
        stored = self.weights.arrays.setdefault(name, array)
        if name not in self.root.initialisers:
            tensor = TensorProto(name=name, dims=stored.shape)
            tensor.data_type = helper.np_dtype_to_tensor_dtype(stored.dtype)
            self.root.initialisers[name] = tensor
        return name

    @contextmanager
    def weights_named(self, prefix: str) -> Iterator[None]:
        """Prefix the names of weights within the block, so that several models' names differ."""
        root = self.root
        outer_prefix, root.prefix = root.prefix, root.prefix + prefix
        try:
            yield
        finally:
            root.prefix = outer_prefix

    def input(self, name: str, dtype: int, shape: Sequence[str | int] | None) -> Value:
        """Declare an input."""
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(
        self, value: Value, name: str, dtype: int, shape: Sequence[str | int] | None
    ) -> None:
        """Declare a value to be the output `name`."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, dtype, shape))

    def body(self) -> Graph:
        """Return an empty body of a loop, to be filled and passed to `loop`."""
        return Graph(self.weights, within=self)

    def loop(self, n: Value, condition: Value, body: Graph, *carried: Value) -> list[Value]:
        """Add a loop; return the final carried values, then the stacked outputs of all steps."""
        proto = helper.make_graph(body.nodes, self.name("body"), body.inputs, body.outputs)
        n_outputs = len(body.outputs) - 1
        return self.ops("Loop", n, condition, *carried, n_outputs=n_outputs, body=proto)

    def model(
        self,
        name: str,
        metadata: dict[str, str],
        file: str,
        locations: dict[str, tuple[int, int]],
    ) -> onnx.ModelProto:
        """Return the complete model, with weights at their (offset, length) in `file`."""
        tensors = []
        for key, tensor in self.initialisers.items():
            if key in locations:
                offset, length = locations[key]
                tensor.data_location = TensorProto.EXTERNAL
                location = {"location": file, "offset": str(offset), "length": str(length)}
                for entry, value in location.items():
                    tensor.external_data.add(key=entry, value=value)
            tensors.append(tensor)
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, tensors)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="nearfar",
        )
        helper.set_model_props(model, metadata)
        return model
