"""The report as one HTML page."""

from __future__ import annotations

from pathlib import Path

from nearfar.core.errors import SettingsError
from nearfar.evaluation.text import number
from nearfar.pages import shell
from nearfar.pages.markup import paragraph
from nearfar.report.measured import QUALITY
from nearfar.report.report import Report
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

SUFFIXES = (".html", ".htm")
DATA = "SPLIT"
COMMAND = "nearfar report"


def check_page(path: Path) -> None:
    """Refuse a file that the page could not be written to, before the work begins.

    Raises:
        SettingsError: its suffix is not that of a page, or it is a folder.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise SettingsError(f"{path} ends in {path.suffix or 'nothing'}; a report is a .html file")
    if path.is_dir():
        raise SettingsError(f"{path} is a folder; name a file")


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
    check_page(path)
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
    shell.write_page(path, title, paragraph(_summary(report)), sections)


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
