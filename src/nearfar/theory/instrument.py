"""An instrument: one statement of the paper, measured on one fitted model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from nearfar.core import discovery
from nearfar.core.errors import NearfarError, SettingsError
from nearfar.theory.finding import Curve, Finding, Number
from nearfar.theory.subject import Subject

PACKAGE = "nearfar.theory.instruments"


@dataclass(frozen=True)
class Measured:
    """What an instrument read off; see `Finding` for the fields."""

    meaning: str
    numbers: tuple[Number, ...]
    curves: tuple[Curve, ...] = ()
    notes: tuple[str, ...] = ()


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
