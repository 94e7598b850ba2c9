"""Translates parts of PyTorch networks to ONNX by recording the operators that they run.

So the exported network cannot differ from the one that was trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from onnx import TensorProto
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from nearfar.bundle.exports._graph_builder import Value
from nearfar.bundle.exports._history import Entries
from nearfar.bundle.exports.export import unknown
from nearfar.core.errors import SettingsError
from nearfar.kernels.sparse import WeightedRows
from nearfar.vae.corruption.corruption import Clean, Corruption, Dropout, Mask
from nearfar.vae.network import VAE

N_EXAMPLES = 3
"""Users in the recorded batch; no translated operator depends on their number."""

UNARY = {
    "alias": "Identity", "clone": "Identity", "detach": "Identity", "exp": "Exp", "log": "Log",
    "neg": "Neg", "relu": "Relu", "sigmoid": "Sigmoid", "softplus": "Softplus", "sqrt": "Sqrt",
    "tanh": "Tanh",
}  # fmt: skip
BINARY = {"add": "Add", "div": "Div", "mul": "Mul", "sub": "Sub"}


@dataclass(frozen=True, eq=False)
class HistoryInput:
    """The input of an encoder: histories in which all items of a row have the same value.

    Args:
        entries: the items of each row.
        scale: the value of each row, [batch, 1]; None for 1.
    """

    entries: Entries
    scale: Value | None

    def product(self, table: Value, width: int) -> Value:
        """Return the product of the histories and a table, [batch, width]."""
        sums = self.entries.row_sums(table, width)
        return sums if self.scale is None else self.entries.graph.op("Mul", sums, self.scale)


def present(entries: Entries, corruption: Corruption) -> HistoryInput:
    """Return the encoder's input for clean histories, scaled as this corruption scales it.

    Raises:
        SettingsError: the corruption cannot be exported.
    """
    if isinstance(corruption, Mask):
        return HistoryInput(entries, None)
    if not isinstance(corruption, Clean | Dropout):
        raise unknown(corruption)
    g = entries.graph
    n = g.op("Max", entries.counts, g.constant([1]))
    norm = g.op("Sqrt", g.op("Cast", n, to=TensorProto.FLOAT))
    return HistoryInput(entries, g.op("Reciprocal", norm))


def translated(
    network: VAE, history: HistoryInput, compute: Callable[[VAE, WeightedRows], Tensor]
) -> Value:
    """Add to the graph what a part of a network computes from the histories.

    Args:
        network: in evaluation mode.
        history: the histories in the graph.
        compute: takes the network and symbolic histories; returns one row per user.

    Raises:
        SettingsError: the network runs an operator that has no translation, or uses a history
            other than in products with tables.
    """
    symbolic = _SymbolicHistories()
    with torch.no_grad(), _Recorder() as recorder:
        out = compute(network, symbolic)
    return _Translation(network, history, recorder.calls, symbolic.products).value(out)


class _SymbolicHistories(WeightedRows):
    """Histories without values, which record the tables that they are multiplied with.

    Attributes:
        products: id of a product's tensor -> that tensor, and the table.
    """

    products: dict[int, tuple[Tensor, Tensor]]

    def __init__(self) -> None:
        object.__setattr__(self, "products", {})

    def product(self, weight: Tensor) -> Tensor:
        sums = weight.new_ones((N_EXAMPLES, weight.shape[1]))
        self.products[id(sums)] = (sums, weight)
        return sums

    def __getattr__(self, name: str) -> Any:
        raise SettingsError(
            f"the encoder reads {name!r} of a history; only encoders that multiply histories with "
            "tables can be exported to ONNX"
        )


@dataclass(frozen=True, eq=False)
class _Call:
    """A recorded call of an operator, with its arguments and result."""

    operator: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any

    @property
    def name(self) -> str:
        return self.operator.overloadpacket.__name__


class _Recorder(TorchDispatchMode):
    """Records operators below autograd, where equivalent operators have one name.

    Attributes:
        calls: id of a returned tensor -> its call, and its index among the call's results.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[int, tuple[_Call, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.is_mutable:
            raise SettingsError(
                f"the network changes a tensor in place ({func}), which ONNX cannot express; "
                "compute a new tensor instead"
            )
        result = func(*args, **(kwargs or {}))
        call = _Call(func, args, kwargs or {}, result)
        for index, tensor in enumerate(result if isinstance(result, tuple | list) else [result]):
            self.calls[id(tensor)] = (call, index)
        return result


class _Translation:
    """Adds to a graph those recorded operators that a requested tensor depends on.

    Tensors that depend on weights only are stored as weights.
    """

    def __init__(
        self,
        network: nn.Module,
        history: HistoryInput,
        calls: dict[int, tuple[_Call, int]],
        products: dict[int, tuple[Tensor, Tensor]],
    ) -> None:
        self.graph = history.entries.graph
        self.history = history
        self.calls = calls
        self.products = products
        weights = [*network.named_parameters(), *network.named_buffers()]
        self.names: dict[int, str | None] = {id(tensor): name for name, tensor in weights}
        self.values: dict[int, list[Value]] = {}

    def value(self, tensor: Tensor | float | int) -> Value:
        """Return the graph's value of a tensor or number, adding its operators if needed."""
        if not isinstance(tensor, Tensor):
            return self.graph.constant(tensor, np.float32)
        if (weight := self.weight_name(tensor)) is not None:
            return self.graph.weight(weight, tensor.detach().cpu().numpy())
        if id(tensor) in self.products:
            _, table = self.products[id(tensor)]
            return self.history.product(self.value(table), table.shape[1])
        call, index = self.call(tensor)
        if id(call) not in self.values:
            self.values[id(call)] = self.outputs(call)
        return self.values[id(call)][index]

    def call(self, tensor: Tensor) -> tuple[_Call, int]:
        """Return the call that returned a tensor, and the tensor's index among its results."""
        try:
            return self.calls[id(tensor)]
        except KeyError:
            raise SettingsError(
                "the network uses a tensor that is neither a parameter nor a buffer of it, which "
                "ONNX cannot express; register it as a buffer"
            ) from None

    def transposed(self, tensor: Tensor) -> Tensor | None:
        """Return the tensor that this one transposes, if any, so that weights are stored once."""
        call, _ = self.calls.get(id(tensor), (None, 0))
        return call.args[0] if call is not None and call.name == "t" else None

    def weight_name(self, tensor: Tensor) -> str | None:
        """Return the name of a tensor that depends on weights only; None for others.

        It is the parameter's name, or the formula of how the tensor was computed.
        """
        if id(tensor) not in self.names:
            self.names[id(tensor)] = self.computed_name(tensor)
        return self.names[id(tensor)]

    def computed_name(self, tensor: Tensor) -> str | None:
        """Return the formula of a tensor computed from weights; None if it depends on a history."""
        if id(tensor) in self.products:
            return None
        call, index = self.call(tensor)
        names: list[str | None] = [
            self.weight_name(arg) if isinstance(arg, Tensor) else str(arg)
            for arg in _flattened(call.args)
        ]
        if None in names or not any(isinstance(arg, Tensor) for arg in _flattened(call.args)):
            return None
        keywords = [f"{key}={value}" for key, value in call.kwargs.items()]
        suffix = f".{index}" if isinstance(call.result, tuple | list) else ""
        return f"{call.name}({','.join(map(str, [*names, *keywords]))}){suffix}"

    def outputs(self, call: _Call) -> list[Value]:
        """Add an operator; return its outputs, or the first of them.

        Only operators along columns (dimension 1) are translated: rows are users, which must not
        mix.
        """
        g, value = self.graph, self.value
        match () if call.kwargs else (call.name, *call.args):
            case name, x if name in UNARY:
                return [g.op(UNARY[name], value(x))]
            case name, x, y if name in BINARY:
                return [g.op(BINARY[name], value(x), value(y))]
            case "rsub", x, y:
                return [g.op("Sub", value(y), value(x))]
            case "silu", x:
                return [g.op("Mul", value(x), g.op("Sigmoid", value(x)))]
            case "mm", x, weight if self.weight_name(weight):
                return [g.op("MatMul", value(x), value(weight))]
            case "addmm", bias, x, weight if self.weight_name(weight):
                original = self.transposed(weight)
                table = value(weight if original is None else original)
                transposed = int(original is not None)
                return [g.op("Gemm", value(x), table, value(bias), transB=transposed)]
            case "_linear_pointwise", x, weight, Tensor() as bias, "none", *_ if self.weight_name(
                weight
            ):
                return [g.op("Gemm", value(x), value(weight), value(bias), transB=1)]
            case "native_layer_norm", x, [_], Tensor() as scale, Tensor() as shift, epsilon:
                inputs = value(x), value(scale), value(shift)
                return [g.op("LayerNormalization", *inputs, axis=-1, epsilon=epsilon)]
            case "cat", parts, (1 | -1):
                return [g.op("Concat", *map(value, parts), axis=1)]
            case "split", x, _, (1 | -1):
                widths = g.constant([part.shape[1] for part in call.result])
                return g.ops("Split", value(x), widths, n_outputs=len(call.result), axis=1)
            case "glu", x, (1 | -1):
                values, gates = g.ops("Split", value(x), n_outputs=2, axis=1, num_outputs=2)
                return [g.op("Mul", values, g.op("Sigmoid", gates))]
            case "flip", x, [1 | -1]:
                ends = (-1, np.iinfo(np.int64).min, 1, -1)
                return [g.op("Slice", value(x), *(g.constant([n]) for n in ends))]
        raise SettingsError(
            f"no ONNX operator is known for PyTorch's {call.operator} with these arguments; add it "
            "to nearfar.bundle.exports._recording"
        )


def _flattened(args: Sequence[Any]) -> list[Any]:
    """Return the arguments with nested lists flattened."""
    return [
        a for arg in args for a in (_flattened(arg) if isinstance(arg, list | tuple) else [arg])
    ]
