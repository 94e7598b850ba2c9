"""The section on reproducing the bundles and the page."""

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
    """Return the section with algorithms, settings, seeds, versions, fingerprints and commands.

    Args:
        report: the report.
        data: path of the split, as given by the user.
        command: the command line that made the page.
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
    metadata_by_title = {
        title: measured.bundle.metadata for title, measured in report.measured.items()
    }
    rows = {
        "algorithm": [metadata.algorithm for metadata in metadata_by_title.values()],
        "seed": [plain(metadata.seed) for metadata in metadata_by_title.values()],
        "made": [metadata.created or "-" for metadata in metadata_by_title.values()],
        "data": [plain(metadata.data.get("name")) for metadata in metadata_by_title.values()],
        "training users": [
            _count(metadata.data.get("n_users")) for metadata in metadata_by_title.values()
        ],
        "items": [_count(measured.bundle.n_items) for measured in report.measured.values()],
        "interactions": [
            _count(metadata.data.get("n_interactions")) for metadata in metadata_by_title.values()
        ],
    }
    names = dict.fromkeys(
        name for metadata in metadata_by_title.values() for name in metadata.versions
    )
    for name in names:
        rows[name] = [metadata.versions.get(name, "-") for metadata in metadata_by_title.values()]
    return Table(
        ("bundle", *metadata_by_title), tuple((name, *cells) for name, cells in rows.items())
    )


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "-"


def _settings(report: Report) -> Table:
    """Return a table with one row per setting, those in which bundles differ first."""
    metadata_by_title = {
        title: measured.bundle.metadata for title, measured in report.measured.items()
    }
    by_title = {title: flat(metadata.settings) for title, metadata in metadata_by_title.items()}
    algorithms = [metadata.algorithm for metadata in metadata_by_title.values()]
    names = dict.fromkeys(name for values in by_title.values() for name in values)
    rows = [
        (name, *(values.get(name, NO_SETTING) for values in by_title.values())) for name in names
    ]
    rows.sort(key=lambda row: not _differ(row[1:], algorithms))
    missing = any(NO_SETTING in row for row in rows)
    notes = (f"{NO_SETTING}: there is no such setting.",) if missing else ()
    return Table(("setting", *by_title), tuple(rows), notes)


def _differ(cells: Sequence[str], algorithms: Sequence[str]) -> bool:
    """Return whether bundles differ in a setting, apart from other algorithms that lack it."""
    if len(set(cells) - {NO_SETTING}) > 1:
        return True
    having = {a for a, cell in zip(algorithms, cells, strict=True) if cell != NO_SETTING}
    lacking = {a for a, cell in zip(algorithms, cells, strict=True) if cell == NO_SETTING}
    return bool(having & lacking)


def _training(report: Report, data: str) -> list[Block]:
    lines, notes = [], []
    for title, measured in report.measured.items():
        path = data if measured.bundle.trained_on(report.split.train) else "DATA"
        line = train_command(measured.bundle.metadata, path, title)
        if line is None:
            notes.append(f"{title}: its settings cannot be given on a command line; see the table.")
        else:
            lines.append(line)
            if path != data:
                notes.append(f"{title}: DATA stands for the data that it was trained on.")
    notes.append(
        "Device, precision and the number of threads are not kept in a bundle; on one CPU with "
        "one number of threads a seed fixes every bit."
    )
    return [Heading("The trainings"), Commands(lines), Bullets(notes)]


def _fingerprints(report: Report) -> Table:
    rows = [("the split", report.split.fingerprint, "")]
    rows.append(("its training users", report.split.train.fingerprint, ""))
    for title, measured in report.measured.items():
        fingerprint = measured.bundle.metadata.data.get("fingerprint")
        is_train = fingerprint == report.split.train.fingerprint
        which = "these training users" if is_train else "others"
        rows.append(
            (f"trained on, {title}", plain(fingerprint), "" if fingerprint is None else which)
        )
    return Table(("of", "SHA-256", "which are"), tuple(rows))
