"""Encoders as graphs: one function per kind of settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import singledispatch

import numpy as np
from onnx import TensorProto

from nearfar.bundle.exports._graph import Graph, Value
from nearfar.bundle.exports._history import Entries
from nearfar.bundle.exports._known import unknown
from nearfar.vae.corruption.corruption import Clean, Corruption, Dropout, Mask
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.dense import EPS, Dense
from nearfar.vae.encoders.encoder import Encoder
from nearfar.vae.encoders.hierarchical import Hierarchical
from nearfar.vae.encoders.iaf import IAF
from nearfar.vae.encoders.shallow import Shallow
from nearfar.vae.layers import Units


@dataclass(frozen=True, eq=False)
class GraphPart:
    """A part of a network, to be added to a graph.

    Args:
        graph: what it is added to.
        arrays: the whole network's parameters and buffers.
        prefix: of the part's own names among them, as "encoder.".
    """

    graph: Graph
    arrays: Mapping[str, np.ndarray]
    prefix: str

    def of(self, name: str) -> GraphPart:
        """A part of this part."""
        return replace(self, prefix=f"{self.prefix}{name}.")

    def array(self, name: str) -> np.ndarray:
        return self.arrays[self.prefix + name]

    def weight(self, name: str) -> Value:
        return self.graph.weight(self.prefix + name, self.array(name))

    def linear(self, x: Value, name: str) -> Value:
        """W x + b."""
        return self.graph.op(
            "Gemm", x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"), transB=1
        )

    def mean(self, x: Value, name: str) -> Value:
        """The first half of what a head of means and log variances gives."""
        weight, bias = self.array(f"{name}.weight"), self.array(f"{name}.bias")
        half, key = len(weight) // 2, f"{self.prefix}{name}.mean"
        w = self.graph.weight(f"{key}.weight", weight[:half])
        return self.graph.op("Gemm", x, w, self.graph.weight(f"{key}.bias", bias[:half]), transB=1)

    def hidden(self, x: Value, name: str, units: Units) -> Value:
        """A hidden layer of these units."""
        return activate(self.graph, units, self.linear(x, name))

    def sparse(self, history: HistoryInput, name: str) -> Value:
        """The weighted sums of a sparse layer."""
        g, table = self.graph, self.array(f"{name}.weight")
        sums = history.entries.row_sums(self.weight(f"{name}.weight"), table.shape[1])
        if history.scale is not None:
            sums = g.op("Mul", sums, history.scale)
        return g.op("Add", sums, self.weight(f"{name}.bias"))


@dataclass(frozen=True, eq=False)
class HistoryInput:
    """What an encoder reads: entries, all those of a row with the same value.

    Args:
        entries: the items.
        scale: each row's value, [batch, 1]; None for 1.
    """

    entries: Entries
    scale: Value | None


@dataclass(frozen=True, eq=False)
class Latent:
    """Where a history lies.

    Args:
        mean: of the posterior; of q(z_0|x) where a flow follows.
        z: what the decoder is given.
    """

    mean: Value
    z: Value


def present(entries: Entries, corruption: Corruption) -> HistoryInput:
    """Clean histories as an encoder sees them that was trained with this corruption.

    Raises:
        SettingsError: it is not known here.
    """
    if isinstance(corruption, Mask):
        return HistoryInput(entries, None)
    if not isinstance(corruption, Clean | Dropout):
        raise unknown(corruption)
    g = entries.graph
    n = g.op("Max", entries.counts, g.constant([1]))
    norm = g.op("Sqrt", g.op("Cast", n, to=TensorProto.FLOAT))
    return HistoryInput(entries, g.op("Reciprocal", norm))


@singledispatch
def latent(settings: Encoder, part: GraphPart, history: HistoryInput) -> Latent:
    """The encoder of these settings at test time.

    Raises:
        SettingsError: it is not known here.
    """
    raise unknown(settings)


@latent.register
def _(settings: Base, part: GraphPart, history: HistoryInput) -> Latent:
    mean = part.mean(_features(settings, part, history), "head")
    return Latent(mean, mean)


@latent.register
def _(settings: Dense, part: GraphPart, history: HistoryInput) -> Latent:
    mean = part.mean(_features(settings, part, history), "head")
    return Latent(mean, mean)


@latent.register
def _(settings: Shallow, part: GraphPart, history: HistoryInput) -> Latent:
    sums = part.sparse(history, "first")
    kinds = {"tanh": "Tanh", "sigmoid": "Sigmoid", "linear": "Identity"}
    z = part.graph.op(kinds[settings.units], sums)
    return Latent(z, z)


@latent.register
def _(settings: Hierarchical, part: GraphPart, history: HistoryInput) -> Latent:
    g, units = part.graph, settings.units
    upper = part.hidden(activate(g, units, part.sparse(history, "first")), "middle", units)
    z2 = part.mean(upper, "head")
    of_history = activate(g, units, part.sparse(history, "of_history"))
    both = g.op("Concat", of_history, part.hidden(z2, "of_upper", units), axis=1)
    z1 = part.mean(part.hidden(both, "joint", units), "lower_head")
    z = g.op("Concat", z1, z2, axis=1)
    return Latent(z, z)


@latent.register
def _(settings: IAF, part: GraphPart, history: HistoryInput) -> Latent:
    before = part.of("before")
    context = _features(settings.before, before, history)
    mean = z = before.mean(context, "head")
    for number in range(settings.steps):
        z = _step(part.of(f"steps.{number}"), z, context, backwards=number % 2 == 1)
    return Latent(mean, z)


@singledispatch
def _features(settings: Encoder, part: GraphPart, history: HistoryInput) -> Value:
    """What the head is given."""
    raise unknown(settings)


@_features.register
def _(settings: Base, part: GraphPart, history: HistoryInput) -> Value:
    h = activate(part.graph, settings.units, part.sparse(history, "first"))
    for number in range(len(settings.hidden) - 1):
        h = part.hidden(h, f"middle.{number}", settings.units)
    return h


@_features.register
def _(settings: Dense, part: GraphPart, history: HistoryInput) -> Value:
    h = earlier = _normed(part, part.sparse(history, "first"), 0)
    for number in range(1, settings.layers):
        sums = part.graph.op("Add", part.linear(h, f"middle.{number - 1}"), earlier)
        h = _normed(part, sums, number)
        earlier = part.graph.op("Add", earlier, h)
    return h


def _normed(part: GraphPart, sums: Value, number: int) -> Value:
    """LayerNorm(swish(sums))."""
    g = part.graph
    swish = g.op("Mul", sums, g.op("Sigmoid", sums))
    scale, shift = part.weight(f"norms.{number}.weight"), part.weight(f"norms.{number}.bias")
    return g.op("LayerNormalization", swish, scale, shift, axis=-1, epsilon=EPS)


def _step(part: GraphPart, z: Value, context: Value, *, backwards: bool) -> Value:
    """A step of the flow, its masks and, from last to first, its order laid into its weights."""
    g = part.graph
    inner = part.array("of_latent.weight") * part.array("inner")
    outer, bias = part.array("out.weight") * part.array("outer"), part.array("out.bias")
    n = len(bias) // 2
    if backwards:
        order = np.r_[n - 1 : -1 : -1, 2 * n - 1 : n - 1 : -1]
        inner, outer, bias = inner[:, ::-1], outer[order], bias[order]
    stored = {"inner": inner, "outer": outer, "outer.bias": bias}
    w = {k: g.weight(f"{part.prefix}masked.{k}", v) for k, v in stored.items()}
    of_latent = g.op("Gemm", z, w["inner"], part.weight("of_latent.bias"), transB=1)
    h = g.op("Tanh", g.op("Add", of_latent, part.linear(context, "of_context")))
    out = g.op("Gemm", h, w["outer"], w["outer.bias"], transB=1)
    shift, gates = g.ops("Split", out, g.constant([n, n]), n_outputs=2, axis=1)
    s = g.op("Sigmoid", gates)
    kept = g.op("Mul", s, z)
    return g.op("Add", kept, g.op("Mul", g.op("Sub", g.constant(1, np.float32), s), shift))


def activate(graph: Graph, units: Units, sums: Value) -> Value:
    """What the units make of their weighted sums."""
    if units == "tanh":
        return graph.op("Tanh", sums)
    values, gates = graph.ops("Split", sums, n_outputs=2, axis=1, num_outputs=2)
    return graph.op("Mul", values, graph.op("Sigmoid", gates))
