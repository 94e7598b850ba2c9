"""The report of a study: its tables, and one JSON object."""

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
from nearfar.experiments.reproduction.tradeoff import tradeoff_table
from nearfar.experiments.stopping import Stop

TITLES = {
    "table1": "Table 1: models compared",
    "groups": "Table 3: groups of users by number of interactions",
    "table6": "Table 6: encoders, plain and aligned",
    "ablations": "Ablations: what of the alignment does what",
    "tradeoff": "Section 2.4: the KL weight against masking",
    "figure2": "Figure 2: the latent space under three settings",
}
DEFAULT_GROUPS = (Group(5, 10), Group(11, 50), Group(51, 100), Group(101))


@dataclass(frozen=True)
class ReportSection:
    """A table of a report; its first `left` columns are text, the others numbers."""

    name: str
    title: str
    table: Table
    left: int = 1


@dataclass(frozen=True)
class ReproductionReport:
    """The results of a study so far.

    Args:
        plan: plan of the study.
        summaries: the rows.
        sections: the tables, in order.
        metadata: counts and protocol of the first split.
        stop: what stopped the study, or None.
        level: confidence level of the intervals.
        latent_map: numbers of the latent map, for a complete figure2.
    """

    plan: StudyPlan
    summaries: tuple[RowSummary, ...]
    sections: tuple[ReportSection, ...]
    metadata: dict[str, Any]
    stop: Stop | None = None
    level: float = 0.95
    latent_map: dict[str, Any] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every cell is measured."""
        return all(s.status == "done" for s in self.summaries)

    @property
    def failed(self) -> list[RowSummary]:
        """Rows with a cell that failed."""
        return [s for s in self.summaries if s.status == "failed"]

    @property
    def title(self) -> str:
        return f"{TITLES[self.plan.table]}, {self.plan.data.name}"

    def path(self, suffix: str) -> Path:
        """Return the path of one of the report's files: ".json", ".md" or ".png"."""
        return self.plan.folder / f"{self.plan.table}{suffix}"

    def provenance(self) -> dict[str, Any]:
        """Return versions, machine and commit of the report; each cell has its own."""
        return provenance(self.plan.run_options().torch_device)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole report as JSON-able values."""
        plan = self.plan
        commits = {m.provenance.get("commit") for s in self.summaries for m in s.measured.values()}
        return {
            "table": plan.table,
            "data": {**plan.data.preparation(), **self.metadata},
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
    """Report on a study, complete or not, without running anything.

    Args:
        study: the study.
        stop: what stopped it, or None.
        groups: user groups of the table "groups".
        level: confidence level of all intervals.
    """
    plan = study.plan
    known = published(plan.table, plan.data.name if plan.data.published else "")
    # The published values of "groups" are of groups, not of whole rows.
    of_rows = Published() if plan.table == "groups" else known
    metrics = plan.measured
    summaries = summarise(study.entries(), metrics, of_rows, level)
    same_users = plan.data.protocol != "strong"
    main = main_table(summaries, metrics, of_rows, plan.seeds, level, same_users)
    sections = [ReportSection("rows", "All test users" if plan.table == "groups" else "", main)]
    if plan.table == "groups" and len(summaries) == 2 and all(s.measured for s in summaries):
        grouped = grouped_table(summaries[0], summaries[1], metrics, groups, known, level)
        sections.insert(0, ReportSection("groups", "", grouped, left=3))
    if all_gains := gains(summaries, metrics, level):
        sections.append(
            ReportSection("gains", "Gains, user by user", gain_table(all_gains, level), left=2)
        )
    if plan.table == "ablations" and (diversity := diversity_table(summaries, metrics, level)):
        sections.append(
            ReportSection("diversity", "Gains by diversity of taste", diversity, left=3)
        )
    if plan.table == "tradeoff" and any(s.measured for s in summaries):
        numbers = tradeoff_table(summaries, level)
        sections.append(ReportSection("latents", "The latent space", numbers))
    has_split = study.splits.fingerprint(plan.seed) is not None
    metadata = study.splits.metadata(plan.seed) if has_split else {}
    return ReproductionReport(plan, tuple(summaries), tuple(sections), metadata, stop, level)
