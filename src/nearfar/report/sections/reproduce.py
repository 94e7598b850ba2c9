"""What it takes to make the bundles, and this page, again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nearfar.bundle.bundle import versions
from nearfar.evaluation.table import Table
from nearfar.pages.page import Block, Bullets, Captioned, Commands, Heading, Section
from nearfar.report.command import train_command
from nearfar.report.flat import flat, plain
from nearfar.report.report import Report

NO_SETTING = "-"


def section(report: Report, data: str, command: str) -> Section:
    """Algorithms, settings, seeds, versions, fingerprints, and command lines.

    Args:
        report: of the bundles.
        data: the path of the split, as it was given.
        command: the line that made the page.
    """
    order = ", those that differ first" if len(report.measured) > 1 else ""
    blocks: list[Block] = [
        Captioned(_origins(report), "Where the bundles come from"),
        Captioned(_settings(report), f"Settings{order}"),
        *_training(report, data),
        Heading("This page"),
        Commands([command]),
        f"Seed {report.options.seed}; the same bundles, data, seed and versions give the same "
        f"page. Made with {_listed(versions())}.",
        Captioned(_fingerprints(report), "Fingerprints"),
    ]
    return Section("reproduce", "Settings and fingerprints", blocks)


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {plain(value)}" for name, value in values.items())


def _origins(report: Report) -> Table:
    abouts = {title: one.bundle.about for title, one in report.measured.items()}
    rows = {
        "algorithm": [about.algorithm for about in abouts.values()],
        "seed": [plain(about.seed) for about in abouts.values()],
        "made": [about.created or "-" for about in abouts.values()],
        "data": [plain(about.data.get("name")) for about in abouts.values()],
        "training users": [_count(about.data.get("n_users")) for about in abouts.values()],
        "items": [_count(one.bundle.n_items) for one in report.measured.values()],
        "interactions": [_count(about.data.get("n_interactions")) for about in abouts.values()],
    }
    names = dict.fromkeys(name for about in abouts.values() for name in about.versions)
    for name in names:
        rows[name] = [about.versions.get(name, "-") for about in abouts.values()]
    return Table(("bundle", *abouts), tuple((name, *cells) for name, cells in rows.items()))


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "-"


def _settings(report: Report) -> Table:
    """One row a setting: first those in which bundles differ."""
    by_title = {t: flat(one.bundle.about.settings) for t, one in report.measured.items()}
    algorithms = [one.bundle.about.algorithm for one in report.measured.values()]
    names = dict.fromkeys(name for found in by_title.values() for name in found)
    rows = [(name, *(found.get(name, NO_SETTING) for found in by_title.values())) for name in names]
    rows.sort(key=lambda row: not _differ(row[1:], algorithms))
    missing = any(NO_SETTING in row for row in rows)
    notes = (f"{NO_SETTING}: there is no such setting.",) if missing else ()
    return Table(("setting", *by_title), tuple(rows), notes)


def _differ(cells: Sequence[str], algorithms: Sequence[str]) -> bool:
    """Whether bundles differ in a setting; that another algorithm lacks it is no difference."""
    if len(set(cells) - {NO_SETTING}) > 1:
        return True
    having = {a for a, cell in zip(algorithms, cells, strict=True) if cell != NO_SETTING}
    lacking = {a for a, cell in zip(algorithms, cells, strict=True) if cell == NO_SETTING}
    return bool(having & lacking)


def _training(report: Report, data: str) -> list[Block]:
    lines, notes = [], []
    for title, one in report.measured.items():
        place = data if one.bundle.trained_on(report.split.train) else "DATA"
        line = train_command(one.bundle.about, place, title)
        if line is None:
            notes.append(f"{title}: no command line says its settings; they are in the table.")
        else:
            lines.append(line)
            if place != data:
                notes.append(f"{title}: DATA stands for the data that it was trained on.")
    notes.append(
        "Device, precision and the number of threads are not kept in a bundle; on one CPU with "
        "one number of threads a seed fixes every bit."
    )
    return [Heading("The trainings"), Commands(lines), Bullets(notes)]


def _fingerprints(report: Report) -> Table:
    rows = [("the split", report.split.fingerprint, "")]
    rows.append(("its training users", report.split.train.fingerprint, ""))
    for title, one in report.measured.items():
        found = one.bundle.about.data.get("fingerprint")
        same = "these training users" if found == report.split.train.fingerprint else "others"
        rows.append((f"trained on, {title}", plain(found), "" if found is None else same))
    return Table(("of", "SHA-256", "which are"), tuple(rows))
