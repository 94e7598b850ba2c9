"""The base class of instruments, each of which measures one statement of the paper on a model."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from nearfar.core import discovery
from nearfar.core.errors import NearfarError, SettingsError
from nearfar.evaluation.text import finite
from nearfar.theory.subject import Subject

PACKAGE = "nearfar.theory.instruments"


@dataclass(frozen=True)
class Measured:
    """The measurement of an instrument; see `Finding` for the fields."""

    meaning: str
    numbers: tuple[Number, ...]
    curves: tuple[Curve, ...] = ()
    notes: tuple[str, ...] = ()


Kind = Literal["line", "points", "bars"]


@dataclass(frozen=True)
class Number:
    """One measured number.

    Args:
        key: identifier, unique within the finding.
        label: displayed name.
        value: the number; NaN if there is nothing to measure.
        unit: unit of the value; "share" is displayed in percent, "" has no unit.
        error: standard error over users or pairs; None if unknown.
    """

    key: str
    label: str
    value: float
    unit: str = ""
    error: float | None = None

    def formatted(self) -> str:
        """Return the value as text, with 1.96 standard errors, without label and unit."""
        if not math.isfinite(self.value):
            return "-"
        if self.unit == "share":
            margin = "" if self.error is None else f" ± {100 * 1.96 * self.error:.1f}"
            return f"{100 * self.value:.1f}{margin} %"
        style = "d" if float(self.value).is_integer() and abs(self.value) < 1e6 else ".3g"
        text = f"{int(self.value):,}" if style == "d" else f"{self.value:.3g}"
        margin = "" if self.error is None else f" ± {1.96 * self.error:.2g}"
        return f"{text}{margin}"


@dataclass(frozen=True)
class Curve:
    """A line, points or bars of a chart; curves with the same `chart` are drawn together.

    Args:
        chart: title of the chart.
        name: name in the legend; "" if the chart has one line per model.
        x_label: label of the x axis, with its unit.
        y_label: label of the y axis, with its unit.
        x: positions, in rising order.
        y: values; NaN for no value.
        kind: "line", "points" or "bars". Bars of one chart have the same categories.
        categories: names of the bars, one per position.
    """

    chart: str
    name: str
    x_label: str
    y_label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    kind: Kind = "line"
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """The result of one instrument on one model.

    Args:
        instrument: discovery name of the instrument.
        title: displayed name of the instrument.
        source: the statement of the paper that it measures.
        meaning: one or two sentences on what the numbers mean.
        numbers: the measured numbers, in display order.
        curves: the curves to draw.
        notes: remarks on how it was measured, one sentence each.
        absent: why the instrument cannot measure this model; then there are no numbers.

    Examples:
        >>> from nearfar.theory.instrument import Finding
        >>> diagnosis = nf.diagnose(bundle, split, only=["health"], users=30, sharing_users=4)
        >>> isinstance(diagnosis.findings["health"]["model"], Finding)
        True
    """

    instrument: str
    title: str
    source: str
    meaning: str = ""
    numbers: tuple[Number, ...] = ()
    curves: tuple[Curve, ...] = ()
    notes: tuple[str, ...] = ()
    absent: str | None = None

    def value(self, key: str) -> float:
        """Return the value of the number with this key.

        Raises:
            KeyError: there is no such number.
        """
        for number in self.numbers:
            if number.key == key:
                return number.value
        raise KeyError(key)

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as JSON-able values; numbers that are not finite become None."""
        fields = asdict(self)
        for number in fields["numbers"]:
            number["value"] = finite(number["value"])
            number["error"] = finite(number["error"])
        for curve in fields["curves"]:
            curve["x"], curve["y"] = ([finite(v) for v in curve[axis]] for axis in ("x", "y"))
        return fields


class Instrument(ABC):
    """Measures one statement of the paper; subclasses are frozen dataclasses, one per file."""

    title: ClassVar[str]
    source: ClassVar[str]

    @abstractmethod
    def read(self, subject: Subject) -> Measured:
        """Measure a model; random numbers come from `subject.rng` or `subject.generator`.

        Raises:
            NearfarError: this kind of model, or this sample, cannot be measured.
        """

    @abstractmethod
    def work(self, subject: Subject) -> float:
        """Return about how many multiplications `read` takes, to estimate its time."""

    def measure(self, subject: Subject) -> Finding:
        """Return the finding; if the model cannot be measured, `absent` says why."""
        name = discovery.name_of(type(self))
        try:
            measured = self.read(subject)
        except NearfarError as error:
            return Finding(name, self.title, self.source, absent=str(error))
        return Finding(
            name,
            self.title,
            self.source,
            measured.meaning,
            measured.numbers,
            measured.curves,
            measured.notes,
        )


def instruments_named(names: Iterable[str]) -> dict[str, Instrument]:
    """Return the instruments with these names, with their defaults.

    Raises:
        SettingsError: there is no instrument with one of the names.
    """
    names, known = list(names), all_instruments()
    if unknown := [name for name in names if name not in known]:
        raise SettingsError(
            f"unknown instrument {', '.join(map(repr, unknown))}; expected {', '.join(known)}"
        )
    return {name: known[name] for name in names}


def all_instruments() -> dict[str, Instrument]:
    """Return every instrument by name, with its defaults.

    Examples:
        >>> from nearfar.theory.instrument import all_instruments
        >>> sorted(all_instruments())[:4]
        ['alignment', 'collaboration', 'distances', 'encoder_slope']
    """
    kinds: dict[str, Callable[[], Instrument]] = {**discovery.discover(PACKAGE, Instrument)}
    return {name: make() for name, make in kinds.items()}
