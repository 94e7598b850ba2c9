"""The section on the paper's theory, instrument by instrument."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from nearfar.evaluation.table import Table
from nearfar.models.autoencoder import Autoencoder
from nearfar.pages.chart import Axis, BarChart, Bars, Line, LineChart
from nearfar.pages.page import Block, Bullets, Captioned, Charts, Heading, Remark, Section
from nearfar.report.report import Report
from nearfar.theory.diagnosis import Diagnosis, notes_of, number_rows
from nearfar.theory.instrument import Curve, Finding

INDICES = str.maketrans("0123456789uvi", "₀₁₂₃₄₅₆₇₈₉ᵤᵥᵢ")

POWERS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def section(report: Report) -> Section:
    """Return the section with the numbers, meaning and curves of every instrument."""
    diagnosis = report.diagnosis
    if isinstance(diagnosis, str):
        return Section("diagnostics", "Diagnostics", [diagnosis])
    text = (
        "Statements of the paper on why a variational autoencoder collaborates, each measured on "
        f"at most {report.options.users:,} random users of the split with their whole histories."
    )
    blocks: list[Block] = [text]
    for findings in diagnosis.findings.values():
        with_signs = {title: _with_formulas(finding) for title, finding in findings.items()}
        blocks += _instrument(with_signs, list(report.measured))
    others = [
        f"{title} is a bundle of {measured.bundle.metadata.algorithm}, which the theory does not "
        "cover."
        for title, measured in report.measured.items()
        if not isinstance(measured.bundle.model, Autoencoder)
    ]
    return Section(
        "diagnostics", "Diagnostics", [*blocks, *_neighbours(diagnosis), Bullets(others)]
    )


def _with_formulas(finding: Finding) -> Finding:
    """Return the finding with formulas in Unicode signs."""
    numbers = (
        replace(n, label=as_formula(n.label), unit=as_formula(n.unit)) for n in finding.numbers
    )
    return replace(
        finding, source=as_formula(finding.source), meaning=as_formula(finding.meaning),
        numbers=tuple(numbers), notes=tuple(map(as_formula, finding.notes)),
    )  # fmt: skip


def _instrument(findings: Mapping[str, Finding], models: Sequence[str]) -> list[Block]:
    first = next(iter(findings.values()))
    measured = {title: finding for title, finding in findings.items() if finding.absent is None}
    blocks: list[Block] = [Heading(first.title), Remark(first.source)]
    meanings = dict.fromkeys(finding.meaning for finding in measured.values())
    if len(meanings) == 1 and len(measured) == len(findings):
        blocks += meanings
    else:
        blocks += [f"{title}: {finding.meaning}" for title, finding in measured.items()]
    blocks += [
        f"{title} is not measured: {finding.absent}."
        for title, finding in findings.items()
        if finding.absent is not None
    ]
    if measured:
        charts = curve_charts(Diagnosis({"": measured}), models)
        blocks += [Charts(charts), Captioned(_numbers(measured), first.title)]
    return blocks


def _numbers(measured: Mapping[str, Finding]) -> Table:
    rows = tuple(
        (f"{label}, {unit}" if unit else label, *values)
        for label, unit, *values in number_rows(measured)
    )
    return Table(("measured", *measured), rows, tuple(notes_of(measured)))


def curve_charts(
    diagnosis: Diagnosis, models: Sequence[str] | None = None
) -> list[LineChart | BarChart]:
    """Return the charts of a diagnosis, one per `Curve.chart`.

    Curves that are the same for all models are drawn once, in grey and without the model's title.
    A curve of only one of several models keeps its title. The dash style stands for the name.

    Args:
        diagnosis: the diagnosis.
        models: all models, whose order sets the colours; by default those of the diagnosis.
    """
    titles = list(dict.fromkeys(t for by_title in diagnosis.findings.values() for t in by_title))
    models = titles if models is None else models
    by_chart: dict[str, list[tuple[str, Curve]]] = {}
    for by_title in diagnosis.findings.values():
        for title, finding in by_title.items():
            for curve in finding.curves:
                by_chart.setdefault(curve.chart, []).append((title, curve))
    charts = []
    for chart, curves in by_chart.items():
        first = curves[0][1]
        x, y = Axis(as_formula(first.x_label)), Axis(as_formula(first.y_label), from_zero=True)
        dashes = {
            name: style for style, name in enumerate(dict.fromkeys(c.name for _, c in curves))
        }
        drawn: list[tuple[str, Curve, int | None]] = [
            (": ".join(part for part in (title, as_formula(curve.name)) if part), curve,
             models.index(title or titles[0]) if title or len(titles) == 1 else None)
            for title, curve in _without_repeats(curves, len(titles))
        ]  # fmt: skip
        if first.kind == "bars":
            bars = [Bars(name, curve.y, colour) for name, curve, colour in drawn]
            charts.append(BarChart(as_formula(chart), first.categories, bars, x, y))
            continue
        lines = [
            Line(name, c.x, c.y, colour, dashes[c.name], points=c.kind == "points")
            for name, c, colour in drawn
        ]
        charts.append(LineChart(as_formula(chart), lines, x, y))
    return charts


def _without_repeats(curves: list[tuple[str, Curve]], n_models: int) -> list[tuple[str, Curve]]:
    """Return each curve once and without a title if curves are the same for all models."""
    names = {curve.name for _, curve in curves}
    same = {name for name in names if len({c for _, c in curves if c.name == name}) == 1}
    if same != names or (n_models > 1 and len({title for title, _ in curves}) == 1):
        return curves
    return [("", curve) for curve in dict.fromkeys(curve for _, curve in curves)]


def _neighbours(diagnosis: Diagnosis) -> list[Block]:
    if not diagnosis.neighbours:
        return []
    rows = tuple((a, b, f"{share:.0%}") for (a, b), share in diagnosis.neighbours.items())
    caption = "Nearest neighbours in common"
    return [
        Heading(caption),
        "The share of a user's nearest neighbours in the latent space that two models agree on.",
        Captioned(Table(("model", "other", "share"), rows), caption),
    ]


def as_formula(text: str) -> str:
    """Return text with norms, indices, powers and Greek letters as Unicode signs.

    "||x_u - x_v||_1" becomes "‖xᵤ - xᵥ‖₁", "W2^2" "W2²", "lambda_A" "λ_A". Plain Unicode works in
    headings, tables, labels of charts and attributes alike.
    """
    text = re.sub(r"\|\|([^|]+)\|\|", r"‖\1‖", text)
    text = re.sub(r"(?<=[a-z‖])_([0-9uvi])(?![A-Za-z0-9])", _index, text)
    text = re.sub(r"\^([0-9]+)", _power, text)
    text = re.sub(r"\bqbar\b", "q\u0304", text)
    return re.sub(r"\blambda(?=_|\b)", "λ", text)


def _index(match: re.Match[str]) -> str:
    return match[1].translate(INDICES)


def _power(match: re.Match[str]) -> str:
    return match[1].translate(POWERS)
