"""Weights of interactions in training: by kind of event, on a scale, over repeated events."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import polars as pl
from jaxtyping import Float, Float32, Int

from nearfar.core.errors import EmptyDataError, SettingsError, UnknownNameError
from nearfar.tables.report import ReadReport

Scale = Literal["none", "linear", "log"]
"""The scale of weights in training: not used, unchanged, or log2(1 + weight)."""

Repeats = Literal["max", "sum"]
"""How the weights of several events of one user and item are combined."""

MAX_NAMED = 20
MISSING = "missing"


@dataclass(frozen=True)
class Weighting:
    """The weights of interactions in training.

    Args:
        kinds: the weight of each kind of event, such as {"view": 1, "click": 2, "buy": 5}; 0 leaves
            a kind out. None if events have no kinds.
        scale: the scale of weights. By default "linear" if kinds have weights or the column of
            weights is named, else "none".
        repeats: the weight of an interaction with several events: the largest or the sum. By
            default "max" if events have kinds, so that a purchase after thirty views counts as a
            purchase, else "sum", so that the plays of several days add up.

    Raises:
        SettingsError: a weight is negative or not finite, or no kind has a weight above 0.
        UnknownNameError: the scale or the rule for repeats is unknown.
    """

    kinds: Mapping[str, float] | None = None
    scale: Scale | None = None
    repeats: Repeats | None = None

    def __post_init__(self) -> None:
        for name, choices in (("scale", get_args(Scale)), ("repeats", get_args(Repeats))):
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise UnknownNameError(f"{name} of weights", str(value), choices)
        if self.kinds is None:
            return
        for kind, weight in self.kinds.items():
            is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
            if not is_number or not math.isfinite(weight) or weight < 0:
                raise SettingsError(
                    f"the weight of the kind {kind!r} is {weight!r}; a number of at least 0 was "
                    "expected"
                )
        if not any(self.kinds.values()):
            raise SettingsError("no kind has a weight above 0; set one, as in view=1,buy=5")
        if self.scale == "none":
            raise SettingsError("kinds have weights, but scale is none; leave out one of the two")

    def scale_of(self, *, named: bool) -> Scale:
        """Return the scale that the user set, or the default.

        Args:
            named: whether the user named the column of weights.
        """
        if self.scale is not None:
            return self.scale
        return "linear" if self.kinds is not None or named else "none"

    @property
    def repeats_rule(self) -> Repeats:
        """The rule for repeated events that the user set, or the default."""
        return self.repeats or ("sum" if self.kinds is None else "max")


def parse_kinds(text: str) -> dict[str, float]:
    """Parse the weights of kinds, such as "view=1,click=2,buy=5".

    Raises:
        SettingsError: a part is not kind=number, or a kind is there twice.
    """
    kinds: dict[str, float] = {}
    for part in text.split(","):
        kind, sign, weight = (piece.strip() for piece in part.rpartition("="))
        try:
            number = float(weight)
        except ValueError:
            number = math.nan
        if not kind or not sign or not math.isfinite(number):
            raise SettingsError(f"{part.strip()!r} is not of the form kind=number, such as buy=5")
        if kind in kinds:
            raise SettingsError(f"the kind {kind!r} is given twice; give each kind once")
        kinds[kind] = number
    return kinds


class KindReader:
    """Convert the column of kinds to weights, block by block.

    Args:
        kinds: the weight of each kind.
        report: updated with the events of kinds without a weight.
    """

    def __init__(self, kinds: Mapping[str, float], report: ReadReport) -> None:
        self._kinds = dict(kinds)
        self._report = report
        self.seen: dict[str, int] = {}

    def read(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Return rows with weights instead of kinds, and a mask of the rows without a weight.

        If rows have a weight, it is multiplied by the weight of their kind.
        """
        weights = pl.DataFrame(
            {"kind": list(self._kinds), "kind_weight": list(self._kinds.values())},
            schema={"kind": pl.String, "kind_weight": pl.Float64},
        )
        joined = rows.select("kind").join(weights, on="kind", how="left", maintain_order="left")
        kind_weight = joined["kind_weight"]
        counts = rows["kind"].fill_null(MISSING).value_counts()
        for kind, n in counts.sort("count", "kind", descending=[True, False]).iter_rows():
            is_named = kind in self.seen or len(self.seen) < MAX_NAMED or kind in self._kinds
            name = kind if is_named else "and others"
            self.seen[name] = self.seen.get(name, 0) + n
            if kind not in self._kinds:
                self._report.left_out[f"the kind {name!r} has no weight"] += n
        row_weight = rows["weight"] if "weight" in rows.columns else 1.0
        weighted = rows.drop("kind").with_columns((kind_weight * row_weight).alias("weight"))
        return weighted, kind_weight.is_null()

    def check(self, name: str) -> None:
        """Add a remark on kinds without events, after the last block.

        Args:
            name: the log's name in messages.

        Raises:
            EmptyDataError: no event has a kind with a weight.
        """
        if not self.unseen:
            return
        seen, unseen = (", ".join(map(repr, kinds)) for kinds in (self.seen, self.unseen))
        text = f"{unseen}; the log has {seen}"
        if not set(self.seen) - set(self.without_weight):
            raise EmptyDataError(f"{name}: no event is of the kinds {text}")
        self._report.remarks.append(f"no event is of the kind {text}")

    @property
    def condition(self) -> str:
        """The condition that the kept rows meet, for messages; empty if all rows are kept."""
        return "kinds with a weight" if self.without_weight else ""

    @property
    def without_weight(self) -> list[str]:
        """Kinds of events that have no weight."""
        return [kind for kind in self.seen if kind not in self._kinds]

    @property
    def unseen(self) -> list[str]:
        """Kinds with a weight but without events."""
        return [kind for kind in self._kinds if kind not in self.seen]


def scaled(weights: Float[np.ndarray, " n"], scale: Scale) -> Float32[np.ndarray, " n"]:
    """Return weights on the scale of training: unchanged, or log2(1 + weight)."""
    return (np.log2(1 + weights) if scale == "log" else weights).astype(np.float32)


def united(
    keys: Int[np.ndarray, " n"], weights: Float[np.ndarray, " n"], repeats: Repeats
) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Return the distinct keys, ascending, and the largest or summed weight of each."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(keys) else []
    reduce = np.maximum if repeats == "max" else np.add
    values = weights[order].astype(np.float64)
    return ordered[starts], reduce.reduceat(values, starts) if len(keys) else values
