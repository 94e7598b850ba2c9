"""What stands of a study: its tables, and one JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nearfar.evaluation.groups import Group
from nearfar.evaluation.table import Table
from nearfar.experiments.provenance import provenance
from nearfar.experiments.reproduction.diversity import diversity_table
from nearfar.experiments.reproduction.gains import gains
from nearfar.experiments.reproduction.rows import Published, published
from nearfar.experiments.reproduction.study import Study, StudyPlan
from nearfar.experiments.reproduction.summary import RowSummary, summarise
from nearfar.experiments.reproduction.tables import gain_table, grouped_table, main_table
from nearfar.experiments.stopping import Stop

TITLES = {
    "table1": "Table 1: models compared",
    "groups": "Table 3: groups of users by number of interactions",
    "table6": "Table 6: encoders, plain and aligned",
    "ablations": "Ablations: what of the alignment does what",
    "figure2": "Figure 2: the latent space under three settings",
}
DEFAULT_GROUPS = (Group(5, 10), Group(11, 50), Group(51, 100), Group(101))


@dataclass(frozen=True)
class ReportSection:
    """A table of a report; its first `left` columns are text."""

    name: str
    title: str
    table: Table
    left: int = 1


@dataclass(frozen=True)
class ReproductionReport:
    """What stands of a table.

    Args:
        plan: what was asked for.
        summaries: the rows.
        sections: its tables in order.
        about: counts and protocol of the first split.
        stop: what stopped the work, or None.
        level: of the intervals.
        latent_map: the numbers of figure2, where it is that and complete.
    """

    plan: StudyPlan
    summaries: tuple[RowSummary, ...]
    sections: tuple[ReportSection, ...]
    about: dict[str, Any]
    stop: Stop | None = None
    level: float = 0.95
    latent_map: dict[str, Any] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every cell is measured."""
        return all(s.status == "done" for s in self.summaries)

    @property
    def failed(self) -> list[RowSummary]:
        """Rows of which a cell could not be had."""
        return [s for s in self.summaries if s.status == "failed"]

    @property
    def title(self) -> str:
        return f"{TITLES[self.plan.table]}, {self.plan.data.name}"

    def path(self, suffix: str) -> Path:
        """Where the report is written: JSON, Markdown, the figure."""
        return self.plan.folder / f"{self.plan.table}{suffix}"

    def provenance(self) -> dict[str, Any]:
        """Versions, machine and commit of the report; each cell has its own."""
        return provenance(self.plan.run_options().torch_device)

    def to_dict(self) -> dict[str, Any]:
        """The whole report, JSON-able."""
        plan = self.plan
        commits = {m.provenance.get("commit") for s in self.summaries for m in s.measured.values()}
        return {
            "table": plan.table,
            "data": {**plan.data.preparation(), **self.about},
            "seeds": list(plan.all_seeds),
            "metrics": [str(metric) for metric in plan.measured],
            "precision": plan.precision,
            "level": self.level,
            "complete": self.complete,
            "stopped": self.stop,
            **{section.name: section.table.to_dict() for section in self.sections},
            "latent_map": self.latent_map,
            "commits_of_cells": sorted(str(commit) for commit in commits),
            "provenance": self.provenance(),
        }


def report(
    study: Study,
    *,
    stop: Stop | None = None,
    groups: Sequence[Group] = DEFAULT_GROUPS,
    level: float = 0.95,
) -> ReproductionReport:
    """What stands of a study, whether it is complete or not; nothing is run.

    Args:
        stop: what stopped it.
        groups: those of the table "groups".
        level: of all intervals.
    """
    plan = study.plan
    known = published(plan.table, plan.data.name if plan.data.published else "")
    # the published values of "groups" are of groups, and not of whole rows
    of_rows = Published() if plan.table == "groups" else known
    metrics = plan.measured
    summaries = summarise(study.entries(), metrics, of_rows, level)
    same_users = plan.data.protocol != "strong"
    main = main_table(summaries, metrics, of_rows, plan.seeds, level, same_users)
    sections = [ReportSection("rows", "All test users" if plan.table == "groups" else "", main)]
    if plan.table == "groups" and len(summaries) == 2 and all(s.measured for s in summaries):
        grouped = grouped_table(summaries[0], summaries[1], metrics, groups, known, level)
        sections.insert(0, ReportSection("groups", "", grouped, left=3))
    if found := gains(summaries, metrics, level):
        sections.append(
            ReportSection("gains", "Gains, user by user", gain_table(found, level), left=2)
        )
    if plan.table == "ablations" and (diversity := diversity_table(summaries, metrics, level)):
        sections.append(
            ReportSection("diversity", "Gains by diversity of taste", diversity, left=3)
        )
    made = study.splits.fingerprint(plan.seed) is not None
    about = study.splits.about(plan.seed) if made else {}
    return ReproductionReport(plan, tuple(summaries), tuple(sections), about, stop, level)
