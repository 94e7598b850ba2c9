"""All instruments on several models: what `nearfar diagnose` shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import torch

from nearfar.core.errors import SettingsError
from nearfar.evaluation.text import aligned
from nearfar.theory.instrument import Finding, Instrument, all_instruments
from nearfar.theory.subject import Subject
from nearfar.vae.neighbours import nearest, overlap

PROBE = 768
K_NEIGHBOURS = 10


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What the instruments found.

    Args:
        findings: by instrument, then by model, in the order in which they were measured.
        neighbours: mean share of a user's nearest neighbours that two models have in common, by
            the titles of both; empty for one model.
        seconds: how long each instrument took, all models together.

    Examples:
        >>> from nearfar.theory.diagnosis import Diagnosis
        >>> found = nf.diagnose(bundle, split, only=["health"], users=30, sharing_users=4)
        >>> isinstance(found, Diagnosis), found.to_polars().columns[:3]
        (True, ['instrument', 'model', 'number'])
    """

    findings: dict[str, dict[str, Finding]]
    neighbours: dict[tuple[str, str], float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """A table per instrument, a column per model, and what the numbers say."""
        return "\n\n".join(_table(by_title) for by_title in self.findings.values())

    __repr__ = __str__

    def to_polars(self) -> pl.DataFrame:
        """One row per instrument, model and number: `value` with its `unit` and standard error."""
        rows = [
            {
                "instrument": name, "model": title, "number": number.key, "label": number.label,
                "value": number.value, "unit": number.unit, "standard_error": number.error,
            }
            for name, by_title in self.findings.items()
            for title, finding in by_title.items()
            for number in finding.numbers
        ]  # fmt: skip
        numbers = {"value": pl.Float64, "standard_error": pl.Float64}
        return pl.DataFrame(rows, schema_overrides=numbers, infer_schema_length=None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "findings": {
                name: {title: found.to_dict() for title, found in by_title.items()}
                for name, by_title in self.findings.items()
            },
            "neighbours_in_common": [
                {"first": a, "second": b, "share": share}
                for (a, b), share in self.neighbours.items()
            ],
            "seconds": self.seconds,
        }


def diagnose(
    subjects: Mapping[str, Subject],
    instruments: Mapping[str, Instrument] | None = None,
    on_start: Callable[[str, str], object] | None = None,
) -> Diagnosis:
    """Measure every model by every instrument.

    An instrument that cannot measure a model says so in its finding; the others go on.

    Args:
        subjects: models by title, all with the same users.
        instruments: by name; all of them unless given.
        on_start: called with an instrument's and a model's title before the measurement.

    Raises: SettingsError where there is no model, or they have different users.
    """
    if not subjects:
        raise SettingsError("there is no model to examine")
    if len({s.n_users for s in subjects.values()}) > 1:
        raise SettingsError("the models are examined on different users; give the same ones")
    findings: dict[str, dict[str, Finding]] = {}
    seconds: dict[str, float] = {}
    for name, instrument in (instruments or all_instruments()).items():
        findings[name] = {}
        started = time.perf_counter()
        for title, subject in subjects.items():
            if on_start is not None:
                on_start(instrument.title, title)
            findings[name][title] = instrument.measure(subject)
        seconds[name] = time.perf_counter() - started
    return Diagnosis(findings, _in_common(subjects), seconds)


def examined_on(subjects: Mapping[str, Subject]) -> dict[str, Any]:
    """How much the models are examined on, JSON-able: users, those of them whose gradients are
    compared in pairs, masks per user and the share of items that these keep."""
    first = next(iter(subjects.values()))
    return {
        "n_users": first.n_users,
        "n_sharing_users": len(first.sharing_users),
        "n_masks": first.n_masks,
        "keep_prob": first.keep_prob,
    }


def estimated_seconds(
    subjects: Mapping[str, Subject], instruments: Mapping[str, Instrument] | None = None
) -> float:
    """About how long `diagnose` will take here: multiplications over a product's speed.

    Right to a factor of about three.
    """
    work = sum(
        instrument.work(subject)
        for instrument in (instruments or all_instruments()).values()
        for subject in subjects.values()
    )
    square = torch.ones(PROBE, PROBE)
    torch.mm(square, square)  # the first product starts the threads
    started = time.perf_counter()
    torch.mm(square, square)
    return work * (time.perf_counter() - started) / PROBE**3


def _table(by_title: Mapping[str, Finding]) -> str:
    first = next(iter(by_title.values()))
    rows = number_rows(by_title)
    lines = [f"{first.title} ({first.source})"]
    if rows:
        lines.append(aligned(["", "", *by_title], rows))
    return "\n".join([*lines, *sentences_of(by_title)])


def number_rows(by_title: Mapping[str, Finding]) -> list[list[str]]:
    """Return a row per number: its label, its unit (none for shares), its value for each model."""
    numbers = {n.key: n for found in by_title.values() for n in found.numbers}
    cells = [{n.key: n.told() for n in found.numbers} for found in by_title.values()]
    return [
        [n.label, "" if n.unit == "share" else n.unit, *(c.get(key, "-") for c in cells)]
        for key, n in numbers.items()
    ]


def sentences_of(by_title: Mapping[str, Finding]) -> list[str]:
    """Return what the numbers of each model say, or why there are none, and the notes."""
    several = len(by_title) > 1
    return [
        *(
            f"{f'{title}: ' if several else ''}{found.meaning or f'not measured: {found.absent}'}"
            for title, found in by_title.items()
        ),
        *(f"({note})" for note in notes_of(by_title)),
    ]


def notes_of(by_title: Mapping[str, Finding]) -> list[str]:
    """Return the notes of one instrument, each once.

    A note that is not of all the models measured, such as that an upper bound stands for W2, names
    those that it is of.
    """
    present = {title: found for title, found in by_title.items() if found.absent is None}
    notes = dict.fromkeys(note for found in present.values() for note in found.notes)
    of = {note: [t for t, found in present.items() if note in found.notes] for note in notes}
    return [
        note if len(titles) == len(present) else f"{', '.join(titles)}: {note}"
        for note, titles in of.items()
    ]


def _in_common(subjects: Mapping[str, Subject]) -> dict[tuple[str, str], float]:
    """The mean overlap of nearest neighbours of each two models."""
    if len(subjects) < 2:
        return {}
    k = min(K_NEIGHBOURS, min(s.n_users for s in subjects.values()) // 2)
    near = {title: nearest(s.means, k) for title, s in subjects.items()}
    titles = list(subjects)
    return {
        (a, b): float(overlap(near[a], near[b]).mean())
        for i, a in enumerate(titles)
        for b in titles[i + 1 :]
    }
