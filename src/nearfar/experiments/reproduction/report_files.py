"""Write a report's files: JSON, a page of Markdown, and a figure of its values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nearfar.core.errors import MissingExtraError
from nearfar.core.files import atomic_file, write_json
from nearfar.evaluation.table import Table
from nearfar.experiments.reproduction.report import ReproductionReport
from nearfar.experiments.reproduction.summary import RowSummary
from nearfar.experiments.reproduction.tradeoff import tradeoff_charts
from nearfar.metrics.metric import Metric
from nearfar.pages.chart import Chart, Dot, DotChart
from nearfar.pages.matplotlib import write_picture


def write(report: ReproductionReport, say: Callable[[str], None] = lambda text: None) -> None:
    """Write a report's JSON, Markdown and figure; the figure needs matplotlib."""
    figure = bool(report.latent_map)
    if report.plan.table != "figure2" and any(s.measured for s in report.summaries):
        try:
            write_picture(charts(report), report.path(".png"), title=report.title)
            figure = True
        except MissingExtraError as error:
            say(f"no figure: {error}")
    write_json(report.path(".json"), report.to_dict())
    with atomic_file(report.path(".md"), text=True) as file:
        file.write(markdown(report, figure=figure))


def markdown(report: ReproductionReport, *, figure: bool) -> str:
    """Return the page: tables, the figure if there is one, and how they were measured."""
    lines = [f"# {report.title}", ""]
    if not report.complete:
        lines += ["**Incomplete**: rows without numbers are missing or failed.", ""]
    for section in report.sections:
        lines += [f"## {section.title}", ""] if section.title else []
        lines += [markdown_table(section.table, section.left), ""]
    if report.latent_map:
        lines += ["## Numbers of the map", "", *_bullets(report.latent_map), ""]
    if figure:
        lines += [f"![{report.title}]({report.path('.png').name})", ""]
    lines += ["## How", "", *_method_lines(report), ""]
    return "\n".join(lines)


def markdown_table(table: Table, left: int = 1) -> str:
    """Return a table and its notes as Markdown; the first `left` columns are text."""
    rule = [":--" if i < left else "--:" for i in range(len(table.header))]
    lines = [_line(table.header), _line(rule), *map(_line, table.rows)]
    return "\n".join([*lines, "", *(f"- {note}" for note in table.notes)]).rstrip()


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _method_lines(report: ReproductionReport) -> list[str]:
    plan, metadata = report.plan, report.metadata
    seeds = f"seeds {plan.seed} to {plan.all_seeds[-1]}" if plan.seeds > 1 else f"seed {plan.seed}"
    lines = [f"- Data: {plan.data.name}, protocol {plan.data.protocol}, {seeds}"]
    if metadata:
        counts = metadata["counts"]
        lines.append(
            f"- First split: {counts['train']['users']:,} training users, "
            f"{counts['train']['items']:,} items, {counts['train']['interactions']:,} "
            f"interactions; {counts['test_fold_in']['users']:,} test users"
        )
    provenance = report.provenance()
    versions = ", ".join(f"{name} {number}" for name, number in provenance["versions"].items())
    machine = provenance["machine"]
    return [
        *lines,
        f"- Machine: {machine['platform']}, {machine['cpus']} cores, {machine['threads']} threads, "
        f"{machine['device']}",
        f"- Versions: {versions}; commit {provenance['commit'] or 'unknown'}",
        f"- Settings of every row and values of every split: {report.path('.json').name}",
    ]


def _bullets(values: dict[str, Any], prefix: str = "") -> list[str]:
    """Return nested numbers as bullets, each named by its path."""
    lines = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            lines += _bullets(value, f"{name}, ")
        elif isinstance(value, float):
            lines.append(f"- {name}: {value:.4g}")
        elif isinstance(value, int | str):
            lines.append(f"- {name}: {value}")
    return lines


def charts(report: ReproductionReport) -> Sequence[Chart]:
    """Return a chart per metric with a dot per row, or for "groups" per group and row.

    For "tradeoff" return a chart per number and sweep.
    """
    if report.plan.table == "tradeoff":
        return tradeoff_charts(next(s.table.data for s in report.sections if s.name == "latents"))
    grouped = next((s.table for s in report.sections if s.name == "groups"), None)
    colours = {0: f"ours, {report.level:.0%} interval", 1: "with PIA"}
    result = []
    for metric in report.plan.measured:
        if grouped is None:
            dots = [_dot(summary, metric) for summary in report.summaries]
        else:
            rows = [row for row in grouped.data if row["metric"] == str(metric)]
            dots = [dot for row in rows for dot in _pair(row)]
        result.append(DotChart(str(metric), dots, colours=colours))
    return result


def _dot(summary: RowSummary, metric: Metric) -> Dot:
    label, value = summary.row.label, summary.values.get(metric)
    if value is None:
        return Dot(label, None)
    colour = int(summary.row.aligned)
    return Dot(label, value.mean, value.low, value.high, colour, value.published)


def _pair(row: dict[str, Any]) -> list[Dot]:
    return [
        Dot(
            f"{row['group']} {label}", value["mean"], value["low"], value["high"], colour,
            value["published"],
        )
        for colour, (label, value) in enumerate(row["values"].items())
    ]  # fmt: skip
