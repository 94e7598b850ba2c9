"""Measure several models by all instruments, for `nearfar diagnose`."""

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
    """The findings of the instruments on several models.

    Args:
        findings: instrument -> model title -> finding, in the order of measurement.
        neighbours: (title, title) -> mean share of a user's nearest neighbours that the two models
            have in common; empty for one model.
        seconds: instrument -> seconds for all models together.

    Examples:
        >>> from nearfar.theory.diagnosis import Diagnosis
        >>> diagnosis = nf.diagnose(bundle, split, only=["health"], users=30, sharing_users=4)
        >>> isinstance(diagnosis, Diagnosis), diagnosis.to_polars().columns[:3]
        (True, ['instrument', 'model', 'number'])
    """

    findings: dict[str, dict[str, Finding]]
    neighbours: dict[tuple[str, str], float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return one table per instrument, with a column per model, and what the numbers mean."""
        return "\n\n".join(_table(by_title) for by_title in self.findings.values())

    __repr__ = __str__

    def to_polars(self) -> pl.DataFrame:
        """Return a frame with one row per instrument, model and number, with unit and error."""
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
        """Return the diagnosis as JSON-able values."""
        return {
            "findings": {
                name: {title: finding.to_dict() for title, finding in by_title.items()}
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

    If an instrument cannot measure a model, its finding says why.

    Args:
        subjects: title -> model with its sample of users, the same for all models.
        instruments: name -> instrument; by default all.
        on_start: called with the titles of the instrument and the model before each measurement.

    Raises:
        SettingsError: there is no model, or the models have different users.
    """
    if not subjects:
        raise SettingsError("there is no model to examine; give at least one")
    if len({s.n_users for s in subjects.values()}) > 1:
        raise SettingsError("the models are examined on different users; give all the same users")
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
    return Diagnosis(findings, _neighbour_overlap(subjects), seconds)


def examined_on(subjects: Mapping[str, Subject]) -> dict[str, Any]:
    """Return the size of the sample, JSON-able: users, masks per user and their keep_prob.

    `n_sharing_users` counts the users whose gradients are compared in pairs.
    """
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
    """Estimate the seconds that `diagnose` takes on this machine, within a factor of about three.

    It divides the number of multiplications by the measured speed of a matrix product.
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
    """Return one row per number: label, unit (empty for shares) and the value of each model."""
    numbers = {n.key: n for finding in by_title.values() for n in finding.numbers}
    cells = [{n.key: n.formatted() for n in finding.numbers} for finding in by_title.values()]
    return [
        [n.label, "" if n.unit == "share" else n.unit, *(c.get(key, "-") for c in cells)]
        for key, n in numbers.items()
    ]


def sentences_of(by_title: Mapping[str, Finding]) -> list[str]:
    """Return the meaning of each model's numbers, or why there are none, and the notes."""
    meanings = {
        title: finding.meaning or f"not measured: {finding.absent}"
        for title, finding in by_title.items()
    }
    sentences = [f"{title}: {meaning}" for title, meaning in meanings.items()]
    if len(meanings) == 1:
        sentences = list(meanings.values())
    return [*sentences, *(f"({note})" for note in notes_of(by_title))]


def notes_of(by_title: Mapping[str, Finding]) -> list[str]:
    """Return each note of one instrument once.

    A note that does not apply to all measured models begins with the titles of those it does.
    """
    measured = {title: finding for title, finding in by_title.items() if finding.absent is None}
    notes = dict.fromkeys(note for finding in measured.values() for note in finding.notes)
    titles_of_note = {
        note: [t for t, finding in measured.items() if note in finding.notes] for note in notes
    }
    return [
        note if len(titles) == len(measured) else f"{', '.join(titles)}: {note}"
        for note, titles in titles_of_note.items()
    ]


def _neighbour_overlap(subjects: Mapping[str, Subject]) -> dict[tuple[str, str], float]:
    """Compute the mean overlap of nearest neighbours for each pair of models."""
    if len(subjects) < 2:
        return {}
    k = min(K_NEIGHBOURS, min(s.n_users for s in subjects.values()) // 2)
    neighbours = {title: nearest(s.means, k) for title, s in subjects.items()}
    titles = list(subjects)
    return {
        (a, b): float(overlap(neighbours[a], neighbours[b]).mean())
        for i, a in enumerate(titles)
        for b in titles[i + 1 :]
    }
