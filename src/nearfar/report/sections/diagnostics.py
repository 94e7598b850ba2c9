"""What the paper's theory says of the models, instrument by instrument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from nearfar.evaluation.table import Table
from nearfar.maps.curves import charts as curves_by_chart
from nearfar.models.autoencoder import Autoencoder
from nearfar.pages.charts import Chart
from nearfar.pages.formulas import as_formula
from nearfar.pages.markup import bullets, heading, paragraph, side_by_side, table
from nearfar.pages.section import Section
from nearfar.report.charts import Bars, Line, bar_chart, line_chart, lines_in_words
from nearfar.report.report import Report
from nearfar.theory.diagnosis import Diagnosis
from nearfar.theory.finding import Curve, Finding

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def section(report: Report) -> Section:
    """Every instrument: its numbers, what they mean, its curves."""
    found = report.diagnosis
    if isinstance(found, str):
        return Section("diagnostics", "Diagnostics", paragraph(found))
    text = (
        "Statements of the paper on why a variational autoencoder collaborates, each measured on "
        f"at most {report.options.users:,} random users of the split with their whole histories."
    )
    parts = [paragraph(text)]
    colours = {title: number for number, title in enumerate(report.measured)}
    for name, findings in found.findings.items():
        readable = {title: _readable(finding) for title, finding in findings.items()}
        parts.append(_instrument(name, readable, colours))
    parts.append(_neighbours(found))
    parts.append(
        bullets(
            f"{title} is a bundle of {one.bundle.about.algorithm}, of which the theory does not "
            "speak."
            for title, one in report.measured.items()
            if not isinstance(one.bundle.model, Autoencoder)
        )
    )
    return Section("diagnostics", "Diagnostics", "\n".join(parts))


def _readable(found: Finding) -> Finding:
    """The same finding, its formulas with the signs that a page can show."""
    numbers = (
        replace(n, label=as_formula(n.label), unit=as_formula(n.unit)) for n in found.numbers
    )
    curves = (
        replace(
            c, chart=as_formula(c.chart), name=as_formula(c.name), x_label=as_formula(c.x_label),
            y_label=as_formula(c.y_label),
        )
        for c in found.curves
    )  # fmt: skip
    return replace(
        found, source=as_formula(found.source), meaning=as_formula(found.meaning),
        numbers=tuple(numbers), curves=tuple(curves), notes=tuple(map(as_formula, found.notes)),
    )  # fmt: skip


def _instrument(name: str, findings: Mapping[str, Finding], colours: Mapping[str, int]) -> str:
    first = next(iter(findings.values()))
    present = {title: found for title, found in findings.items() if found.absent is None}
    parts = [heading(first.title), paragraph(first.source, soft=True)]
    meanings = dict.fromkeys(found.meaning for found in present.values())
    if len(meanings) == 1 and len(present) == len(findings):
        parts.append(paragraph(next(iter(meanings))))
    else:
        parts += [paragraph(f"{title}: {found.meaning}") for title, found in present.items()]
    parts += [
        paragraph(f"{title} is not measured: {found.absent}.")
        for title, found in findings.items()
        if found.absent is not None
    ]
    if present:
        parts.append(side_by_side(c.markup() for c in _charts(name, present, colours)))
        parts.append(table(_numbers(present), first.title))
    return "\n".join(parts)


def _numbers(present: Mapping[str, Finding]) -> Table:
    labels = {n.key: (n.label, n.unit) for found in present.values() for n in found.numbers}
    told = {title: {n.key: n.told() for n in found.numbers} for title, found in present.items()}
    rows = tuple(
        (
            f"{label}, {unit}" if unit and unit != "share" else label,
            *(told[title].get(key, "-") for title in present),
        )
        for key, (label, unit) in labels.items()
    )
    notes = tuple(dict.fromkeys(note for found in present.values() for note in found.notes))
    return Table(("measured", *present), rows, notes)


def _charts(name: str, present: dict[str, Finding], colours: Mapping[str, int]) -> list[Chart]:
    # A line that is the same for all models has no title; of one model alone it is that one's.
    alone = colours[next(iter(present))] if len(present) == 1 else None
    charts = []
    for number, (chart, curves) in enumerate(curves_by_chart(Diagnosis({name: present})).items()):
        drawn = [(title, curve, colours.get(title, alone)) for title, curve in curves]
        words, figure = (_bars if curves[0][1].kind == "bars" else _lines)(drawn)
        charts.append(Chart(f"diagnosis-{name}-{number + 1}", chart, words, figure))
    return charts


Drawn = list[tuple[str, Curve, int | None]]
"""Curves of one chart, each with its model's title and colour."""


def _lines(curves: Drawn) -> tuple[str, Figure]:
    dashes = {c: place for place, c in enumerate(dict.fromkeys(c.name for _, c, _ in curves))}
    lines = [
        Line(_name(title, curve), curve.x, curve.y, colour, dashes[curve.name],
             points=curve.kind == "points")
        for title, curve, colour in curves
    ]  # fmt: skip
    labels = curves[0][1].x_label, curves[0][1].y_label
    return lines_in_words(lines, *labels), line_chart(lines, *labels)


def _bars(curves: Drawn) -> tuple[str, Figure]:
    first = curves[0][1]
    bars = [Bars(_name(title, curve), curve.y, colour) for title, curve, colour in curves]
    names = [category.replace("\n", " ") for category in first.categories]
    told = [
        f"{bar.name or 'The bars'}: "
        + ", ".join(f"{n} {v:.4g}" for n, v in zip(names, curve.y, strict=True))
        for bar, (_, curve, _) in zip(bars, curves, strict=True)
    ]
    words = f"{first.y_label}, {first.x_label}. {'; '.join(told)}."
    return words, bar_chart(first.categories, bars, first.x_label, first.y_label)


def _name(title: str, curve: Curve) -> str:
    return ": ".join(part for part in (title, curve.name) if part)


def _neighbours(found: Diagnosis) -> str:
    if not found.neighbours:
        return ""
    rows = tuple((a, b, f"{share:.0%}") for (a, b), share in found.neighbours.items())
    text = "The share of a user's nearest neighbours in the latent space that two models agree on."
    named = Table(("model", "other", "share"), rows)
    caption = "Nearest neighbours in common"
    return heading(caption) + paragraph(text) + table(named, caption)
