"""Write a report as one HTML page."""

from __future__ import annotations

from pathlib import Path

from nearfar.evaluation.text import number
from nearfar.pages import page
from nearfar.report.report import QUALITY, Report
from nearfar.report.sections import (
    data,
    diagnostics,
    groups,
    latent_map,
    popularity,
    quality,
    reproduce,
    training,
)

DATA = "SPLIT"
COMMAND = "nearfar report"


def write_report(report: Report, path: Path, *, source: str = DATA, command: str = COMMAND) -> None:
    """Write a report as one HTML file that needs no network; it includes about 5 MB of Plotly.

    The page has titles of items but no ids of users.

    Args:
        report: the report.
        path: the HTML file to write.
        source: path of the split, for the command lines on the page.
        command: the command line that made the page.

    Raises:
        SettingsError: the path is not that of an HTML file.
    """
    page.check_page(path, "a report")
    sections = (
        data.section(report.split, report.everyone),
        training.section(report.measured),
        quality.section(report),
        groups.section(report),
        popularity.section(report),
        latent_map.section(report),
        diagnostics.section(report),
        reproduce.section(report, source, command),
    )
    title = f"Report: {', '.join(report.measured)}"
    page.write_page(path, title, [_summary(report)], sections)


def _summary(report: Report) -> str:
    metric = QUALITY[-1]
    means = {title: evaluation.mean(metric) for title, evaluation in report.evaluations.items()}
    best = max(means, key=means.__getitem__)
    n_users = next(iter(report.evaluations.values())).n_users
    highest = number(means[best], metric)
    if len(means) == 1:
        return f"{best} has {metric} {highest} on {n_users:,} test users."
    return (
        f"{len(means)} models on {n_users:,} test users. The highest {metric} is that of {best}, "
        f"{highest}; "
        "see Quality for whether its lead is more than chance."
    )
