"""A report as a page of Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nearfar.evaluation.table import Table
from nearfar.experiments.reproduction.report import ReproductionReport


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
