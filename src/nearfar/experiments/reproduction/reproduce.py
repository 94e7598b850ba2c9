"""A table or figure of the paper, from its data set to the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from nearfar.evaluation.groups import Group
from nearfar.experiments.reproduction.figure2 import (
    check_can_be_drawn,
    cohort_table,
    draw_latent_map,
)
from nearfar.experiments.reproduction.report import (
    DEFAULT_GROUPS,
    ReportSection,
    ReproductionReport,
    report,
)
from nearfar.experiments.reproduction.report_files import write
from nearfar.experiments.reproduction.study import Study, StudyPlan
from nearfar.experiments.stopping import Budget
from nearfar.train.callback import Reporting, silent


def reproduce(
    plan: StudyPlan,
    *,
    minutes: float | None = None,
    groups: Sequence[Group] = DEFAULT_GROUPS,
    level: float = 0.95,
    say: Callable[[str], None] = lambda text: None,
    reporting: Reporting = silent,
    raise_errors: bool = False,
) -> ReproductionReport:
    """Fit and measure what is missing, and write what stands.

    The plan's folder gets TABLE.json, TABLE.md and TABLE.png; `cells`, `splits`, `runs` (unfinished
    trainings) and `models` are what a second call goes on from. Stopping by Ctrl-C, SIGTERM or the
    budget loses nothing but the running step: what stands is written all the same.

    Args:
        plan: the table, its data and how to run.
        minutes: how long to go on fitting; None for as long as it takes.
        groups: those of the table "groups".
        level: of all intervals.
        say: told, in lines, how it goes.
        reporting: gives the callbacks of each training.
        raise_errors: let the first error of a cell through in place of noting it.

    Raises:
        DataError, FetchError: the data cannot be had; says where to put them.
        MissingExtraError: figure2 is asked for, and what draws it is not installed.

    Examples:
        >>> from nearfar.experiments.reproduction.datasets import data_set
        >>> from nearfar.experiments.reproduction.reproduce import reproduce
        >>> from nearfar.experiments.reproduction.study import StudyPlan
        >>> data = data_set("synthetic:60x20x600")
        >>> plan = StudyPlan("table1", data, Path("tables"), only=("ease",))
        >>> reproduce(plan).complete  # doctest: +SKIP
    """
    if plan.table == "figure2":
        check_can_be_drawn(plan.folder / "figure2.png")
    study = Study(plan, say, reporting, raise_errors)
    stop = study.run(Budget(minutes))
    found = report(study, stop=stop, groups=groups, level=level)
    if plan.table == "figure2" and found.complete:
        say("drawing the latent map")
        distances = ReportSection("cohorts", "Cohorts", cohort_table(
            study, found.summaries, level
        ))  # fmt: skip
        found = replace(
            found, latent_map=draw_latent_map(study, found),
            sections=(*found.sections, distances),
        )  # fmt: skip
    write(found, say)
    return found
