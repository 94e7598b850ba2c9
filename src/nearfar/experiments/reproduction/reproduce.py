"""`reproduce`: a table or figure of the paper, from its data set to the written page."""

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
    """Fit and measure the missing cells of a table, and write the report.

    The plan's folder receives TABLE.json, TABLE.md and TABLE.png. A later call resumes from its
    subfolders `cells`, `splits`, `runs` (unfinished trainings) and `models`. Ctrl-C, SIGTERM or the
    end of the budget lose only the running step; the report is written all the same.

    Args:
        plan: the table, its data and how to run.
        minutes: time budget of the fits; None for no limit.
        groups: user groups of the table "groups".
        level: confidence level of all intervals.
        say: called with each line of progress.
        reporting: returns the callbacks of each training.
        raise_errors: raise the first error of a cell instead of recording it.

    Raises:
        DataError: the data cannot be read.
        FetchError: the data cannot be downloaded; the message says where to put them.
        MissingExtraError: figure2 is requested and a library that draws it is not installed.

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
    result = report(study, stop=stop, groups=groups, level=level)
    if plan.table == "figure2" and result.complete:
        say("drawing the latent map")
        cohorts = ReportSection("cohorts", "Cohorts", cohort_table(study, result.summaries, level))
        result = replace(
            result, latent_map=draw_latent_map(study, result), sections=(*result.sections, cohorts)
        )
    write(result, say)
    return result
