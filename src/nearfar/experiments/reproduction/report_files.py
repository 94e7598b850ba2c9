"""A report's files: JSON, a page of Markdown, and a figure of its values."""

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


def write(found: ReproductionReport, say: Callable[[str], None] = lambda text: None) -> None:
    """Write a report's JSON, Markdown and figure; without matplotlib no figure."""
    figure = bool(found.latent_map)
    if found.plan.table != "figure2" and any(s.measured for s in found.summaries):
        try:
            write_picture(charts(found), found.path(".png"), title=found.title)
            figure = True
        except MissingExtraError as error:
            say(f"no figure: {error}")
    write_json(found.path(".json"), found.to_dict())
    with atomic_file(found.path(".md"), text=True) as file:
        file.write(markdown(found, figure=figure))


def markdown(found: ReproductionReport, *, figure: bool) -> str:
    """The page: tables, how they came to be, and the figure where there is one."""
    lines = [f"# {found.title}", ""]
    if not found.complete:
        lines += ["**Incomplete**: rows without numbers are missing or failed.", ""]
    for section in found.sections:
        lines += [f"## {section.title}", ""] if section.title else []
        lines += [markdown_table(section.table, section.left), ""]
    if found.latent_map:
        lines += ["## Numbers of the map", "", *_listed(found.latent_map), ""]
    if figure:
        lines += [f"![{found.title}]({found.path('.png').name})", ""]
    lines += ["## How", "", *_how(found), ""]
    return "\n".join(lines)


def markdown_table(table: Table, left: int = 1) -> str:
    """A table with its notes below; the first `left` columns are text, the others numbers."""
    rule = [":--" if i < left else "--:" for i in range(len(table.header))]
    lines = [_line(table.header), _line(rule), *map(_line, table.rows)]
    return "\n".join([*lines, "", *(f"- {note}" for note in table.notes)]).rstrip()


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _how(found: ReproductionReport) -> list[str]:
    plan, about = found.plan, found.about
    seeds = f"seeds {plan.seed} to {plan.all_seeds[-1]}" if plan.seeds > 1 else f"seed {plan.seed}"
    lines = [f"- Data: {plan.data.name}, protocol {plan.data.protocol}, {seeds}"]
    if about:
        counts = about["counts"]
        lines.append(
            f"- First split: {counts['train']['users']:,} training users, "
            f"{counts['train']['items']:,} items, {counts['train']['interactions']:,} "
            f"interactions; {counts['test_fold_in']['users']:,} test users"
        )
    where = found.provenance()
    versions = ", ".join(f"{name} {number}" for name, number in where["versions"].items())
    machine = where["machine"]
    return [
        *lines,
        f"- Machine: {machine['platform']}, {machine['cpus']} cores, {machine['threads']} threads, "
        f"{machine['device']}",
        f"- Versions: {versions}; commit {where['commit'] or 'unknown'}",
        f"- Settings of every row and values of every split: {found.path('.json').name}",
    ]


def _listed(values: dict[str, Any], where: str = "") -> list[str]:
    """Nested numbers as a list."""
    lines = []
    for key, value in values.items():
        name = f"{where}{key}"
        if isinstance(value, dict):
            lines += _listed(value, f"{name}, ")
        elif isinstance(value, float):
            lines.append(f"- {name}: {value:.4g}")
        elif isinstance(value, int | str):
            lines.append(f"- {name}: {value}")
    return lines


def charts(found: ReproductionReport) -> Sequence[Chart]:
    """Return a chart per metric: the rows, or for "groups" each row in each group.

    Those of "tradeoff" are a chart per number and sweep.
    """
    if found.plan.table == "tradeoff":
        return tradeoff_charts(next(s.table.data for s in found.sections if s.name == "latents"))
    grouped = next((s.table for s in found.sections if s.name == "groups"), None)
    colours = {0: f"ours, {found.level:.0%} interval", 1: "with PIA"}
    result = []
    for metric in found.plan.measured:
        if grouped is None:
            dots = [_dot(summary, metric) for summary in found.summaries]
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
