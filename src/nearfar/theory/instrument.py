"""An instrument, one statement of the paper measured on one fitted model, and what it finds."""

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
    """What an instrument read off; see `Finding` for the fields."""

    meaning: str
    numbers: tuple[Number, ...]
    curves: tuple[Curve, ...] = ()
    notes: tuple[str, ...] = ()


Kind = Literal["line", "points", "bars"]


@dataclass(frozen=True)
class Number:
    """One measured number.

    Args:
        key: its name for programs, unique within the finding.
        label: its name for people.
        value: the number; NaN where there is nothing to measure.
        unit: of the value; "share" is shown in percent, "" is a pure number.
        error: its standard error over users or pairs, where one is known.
    """

    key: str
    label: str
    value: float
    unit: str = ""
    error: float | None = None

    def told(self) -> str:
        """The number as people read it, without its label."""
        if not math.isfinite(self.value):
            return "-"
        if self.unit == "share":
            spread = "" if self.error is None else f" ± {100 * 1.96 * self.error:.1f}"
            return f"{100 * self.value:.1f}{spread} %"
        digits = "d" if float(self.value).is_integer() and abs(self.value) < 1e6 else ".3g"
        text = f"{int(self.value):,}" if digits == "d" else f"{self.value:.3g}"
        spread = "" if self.error is None else f" ± {1.96 * self.error:.2g}"
        return f"{text}{spread}"


@dataclass(frozen=True)
class Curve:
    """A line, points or bars to be drawn; curves of one `chart` belong into one picture.

    Args:
        chart: the picture's title.
        name: of this line in its legend; "" where the picture has one line per model.
        x_label: with its unit.
        y_label: with its unit.
        x: positions, rising.
        y: values; NaN where there is none.
        kind: how it is drawn. Bars of one chart have the same categories.
        categories: of bars, their names; one a position.
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
    """What one instrument found on one model.

    Args:
        instrument: its discovery name.
        title: its name for people.
        source: the statement of the paper that it measures.
        meaning: one or two sentences on what the numbers say.
        numbers: in the order in which they are told.
        curves: to be drawn.
        notes: what a reader must know of how it was measured, one sentence each.
        absent: why the instrument cannot measure this model; then there are no numbers.

    Examples:
        >>> from nearfar.theory.instrument import Finding
        >>> found = nf.diagnose(bundle, split, only=["health"], users=30, sharing_users=4)
        >>> isinstance(found.findings["health"]["model"], Finding)
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
        """A number by its key; KeyError where there is none."""
        for number in self.numbers:
            if number.key == key:
                return number.value
        raise KeyError(key)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; numbers that are not finite become None."""
        found = asdict(self)
        for number in found["numbers"]:
            number["value"] = finite(number["value"])
            number["error"] = finite(number["error"])
        for curve in found["curves"]:
            curve["x"], curve["y"] = ([finite(v) for v in curve[axis]] for axis in ("x", "y"))
        return found


class Instrument(ABC):
    """Measures one statement of the paper; subclasses are frozen dataclasses, one a file."""

    title: ClassVar[str]
    source: ClassVar[str]

    @abstractmethod
    def read(self, subject: Subject) -> Measured:
        """Measure; whatever is random is drawn from `subject.rng` or `subject.generator`.

        Raises: NearfarError where this kind of model, or this sample, cannot be measured.
        """

    @abstractmethod
    def work(self, subject: Subject) -> float:
        """About how many multiplications it takes, to tell the cost before it is paid."""

    def measure(self, subject: Subject) -> Finding:
        """The finding; `absent` says why where there is none."""
        name = discovery.name_of(type(self))
        try:
            found = self.read(subject)
        except NearfarError as error:
            return Finding(name, self.title, self.source, absent=str(error))
        return Finding(
            name, self.title, self.source, found.meaning, found.numbers, found.curves, found.notes
        )


def instruments_named(names: Iterable[str]) -> dict[str, Instrument]:
    """The instruments of these names with their defaults.

    Raises:
        SettingsError: there is no instrument of a name.
    """
    names, known = list(names), all_instruments()
    if unknown := [name for name in names if name not in known]:
        raise SettingsError(
            f"there is no instrument {', '.join(map(repr, unknown))}; there are {', '.join(known)}"
        )
    return {name: known[name] for name in names}


def all_instruments() -> dict[str, Instrument]:
    """Every instrument with its defaults, by name.

    Examples:
        >>> from nearfar.theory.instrument import all_instruments
        >>> sorted(all_instruments())[:4]
        ['alignment', 'collaboration', 'distances', 'encoder_slope']
    """
    kinds: dict[str, Callable[[], Instrument]] = {**discovery.discover(PACKAGE, Instrument)}
    return {name: make() for name, make in kinds.items()}
