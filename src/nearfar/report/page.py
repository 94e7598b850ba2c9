"""The report as one HTML page."""

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
    """Write a report as one HTML file that needs no network, some 5 MB of Plotly in it.

    Titles of items are on it, ids of users are not.

    Args:
        report: what it tells.
        path: the file.
        source: the path of the split, for the command lines on the page.
        command: the line that makes the page again.

    Raises:
        SettingsError: the file could not be a page.
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
    means = {title: one.mean(metric) for title, one in report.evaluations.items()}
    best = max(means, key=means.__getitem__)
    n = next(iter(report.evaluations.values())).n_users
    told = number(means[best], metric)
    if len(means) == 1:
        return f"{best} has {metric} {told} on {n:,} test users."
    return (
        f"{len(means)} models on {n:,} test users. The highest {metric} is that of {best}, {told}; "
        "whether it leads by more than chance is told under Quality."
    )
