"""How much an interaction counts in training: weights of kinds, scales, repeated events."""

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
"""What weights are in training: not used, as they are, or log2(1 + weight)."""

Repeats = Literal["max", "sum"]
"""What becomes of the weights of several events of one user and item."""

MAX_NAMED = 20
MISSING = "missing"


@dataclass(frozen=True)
class Weighting:
    """How much an interaction counts in training.

    Args:
        kinds: the weight of each kind of event, as {"view": 1, "click": 2, "buy": 5}; 0 leaves
            events of a kind out. None where events have no kinds.
        scale: of the weights. By default "linear" where kinds have weights or the column of weights
            is named, else "none".
        repeats: the weight of an interaction that several events are of: the largest, or the
            sum of all. By default "max" where events have kinds, so that a purchase after thirty
            views counts as a purchase, else "sum", so that the plays of several days add up.

    Raises:
        SettingsError: a weight is negative or not finite, or no kind has one above 0.
        UnknownNameError: there is no such scale, or rule for repeats.
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
            number = isinstance(weight, int | float) and not isinstance(weight, bool)
            if not number or not math.isfinite(weight) or weight < 0:
                raise SettingsError(
                    f"the weight of the kind {kind!r} is {weight!r}; a number of at least 0 was "
                    "expected"
                )
        if not any(self.kinds.values()):
            raise SettingsError("no kind has a weight above 0; give some, as view=1,click=2,buy=5")
        if self.scale == "none":
            raise SettingsError("kinds have weights and weights are not to be used; leave one out")

    def scale_of(self, *, named: bool) -> Scale:
        """Return the scale that was chosen, or the default.

        Args:
            named: whether the column of weights was named by the user.
        """
        if self.scale is not None:
            return self.scale
        return "linear" if self.kinds is not None or named else "none"

    @property
    def repeats_rule(self) -> Repeats:
        """The rule for repeats that was chosen, or the default."""
        return self.repeats or ("sum" if self.kinds is None else "max")


def parse_kinds(text: str) -> dict[str, float]:
    """Return the weights of kinds from "view=1,click=2,buy=5".

    Raises:
        SettingsError: a part is not of the form kind=number, or a kind is there twice.
    """
    kinds: dict[str, float] = {}
    for part in text.split(","):
        kind, sign, weight = (piece.strip() for piece in part.rpartition("="))
        try:
            number = float(weight)
        except ValueError:
            number = math.nan
        if not kind or not sign or not math.isfinite(number):
            raise SettingsError(f"{part.strip()!r} is not of the form kind=number, as buy=5")
        if kind in kinds:
            raise SettingsError(f"the kind {kind!r} is there twice")
        kinds[kind] = number
    return kinds


class KindReader:
    """Turns the column of kinds into weights, block after block.

    Args:
        kinds: the weight of each kind.
        report: filled with the events of kinds without a weight.
    """

    def __init__(self, kinds: Mapping[str, float], report: ReadReport) -> None:
        self._kinds = dict(kinds)
        self._report = report
        self.seen: dict[str, int] = {}

    def read(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Return the rows with a column of weights for that of kinds, and which have no weight.

        A row's own weight is multiplied by that of its kind.
        """
        weights = pl.DataFrame(
            {"kind": list(self._kinds), "of_kind": list(self._kinds.values())},
            schema={"kind": pl.String, "of_kind": pl.Float64},
        )
        of_kind = rows.select("kind").join(weights, on="kind", how="left", maintain_order="left")
        weight = of_kind["of_kind"]
        counts = rows["kind"].fill_null(MISSING).value_counts()
        for kind, n in counts.sort("count", "kind", descending=[True, False]).iter_rows():
            known = kind in self.seen or len(self.seen) < MAX_NAMED or kind in self._kinds
            name = kind if known else "and others"
            self.seen[name] = self.seen.get(name, 0) + n
            if kind not in self._kinds:
                self._report.left_out[f"the kind {name!r} has no weight"] += n
        own = rows["weight"] if "weight" in rows.columns else 1.0
        weighed = rows.drop("kind").with_columns((weight * own).alias("weight"))
        return weighed, weight.is_null()

    def check(self, name: str) -> None:
        """Tell of kinds that no event is of, once all rows are read.

        Args:
            name: what messages call the log.

        Raises:
            EmptyDataError: no event is of a kind that has a weight.
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
        """What the rows that are kept have in common; empty where all are kept."""
        return "kinds with a weight" if self.without_weight else ""

    @property
    def without_weight(self) -> list[str]:
        """Kinds of events that have no weight."""
        return [kind for kind in self.seen if kind not in self._kinds]

    @property
    def unseen(self) -> list[str]:
        """Kinds with a weight that no event is of."""
        return [kind for kind in self._kinds if kind not in self.seen]


def scaled(weights: Float[np.ndarray, " n"], scale: Scale) -> Float32[np.ndarray, " n"]:
    """Return weights on the scale that training sees: as they are, or log2(1 + weight)."""
    return (np.log2(1 + weights) if scale == "log" else weights).astype(np.float32)


def united(
    keys: Int[np.ndarray, " n"], weights: Float[np.ndarray, " n"], repeats: Repeats
) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Return the keys, ascending and each once, and the largest or summed weight of each."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(keys) else []
    reduce = np.maximum if repeats == "max" else np.add
    values = weights[order].astype(np.float64)
    return ordered[starts], reduce.reduceat(values, starts) if len(keys) else values
