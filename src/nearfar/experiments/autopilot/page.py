"""Write the report page of an autopilot run: one HTML file."""

from __future__ import annotations

from pathlib import Path

from nearfar.bundle.folder import load_bundle
from nearfar.evaluation.table import Table
from nearfar.evaluation.text import number
from nearfar.experiments.autopilot.autopilot import Autopilot
from nearfar.experiments.autopilot.families import FAMILIES
from nearfar.experiments.autopilot.leaderboard import Leaderboard
from nearfar.experiments.tuning.trials import METRIC, format_value
from nearfar.metrics.metric import parse_metric
from nearfar.pages import page
from nearfar.pages.chart import Axis, Dot, DotChart, Line, LineChart
from nearfar.pages.page import Block, Bullets, Captioned, Charts, Commands, Section
from nearfar.report.command import train_command

PAGE = "report.html"


def write_page(result: Autopilot, path: Path) -> None:
    """Write the page of a finished run; it needs no network.

    Args:
        result: a finished run.
        path: HTML file to write.

    Raises:
        MissingExtraError: Plotly or Jinja2 is not installed.
        ArtefactError: the bundle or the trials cannot be read.
    """
    page.check_page(path, "a report page")
    board, bundle = result.leaderboard, result.bundle
    assert board is not None
    assert bundle is not None
    sections = (
        _leaderboard(result, board),
        _search(result, board),
        _data(result),
        _settings(result, board, bundle),
    )
    title = f"Autopilot: {result.held_out.protocol.get('log', 'interactions')}"
    page.write_page(path, title, [board.verdict()], sections)


def _leaderboard(result: Autopilot, board: Leaderboard) -> Section:
    dots = []
    for row in board.rows:
        interval = row.measured.interval(METRIC)
        dots.append(
            Dot(
                row.family.label,
                row.trial.score or 0.0,
                interval.low if interval else None,
                interval.high if interval else None,
                _colour(row.family.name),
            )
        )
    title = f"{METRIC} of each family's best trial, with 95% intervals"
    lines = []
    if result.test is not None:
        for metric, values in result.test["metrics"].items():
            lines.append(
                f"{metric} {number(values['mean'], parse_metric(metric))} on "
                f"{result.test['n_users']:,} separate test users"
            )
    blocks = [
        Captioned(board.table(), "Each family's best trial on the validation users"),
        Bullets(lines),
        Charts([DotChart(title, dots, Axis(str(METRIC)))]),
    ]
    return Section("leaderboard", "Leaderboard", blocks)


def _search(result: Autopilot, board: Leaderboard) -> Section:
    records = result.records
    lines = []
    for row in board.rows:
        trials = [r for r in records.of(row.family.name) if r.score is not None]
        lines.append(
            Line(
                row.family.label,
                [r.number for r in trials],
                [r.score for r in trials],
                colour=_colour(row.family.name),
                points=True,
            )
        )
    title = f"{METRIC} of every trial, in the order of the search"
    chart = LineChart(title, lines, Axis("trial", whole=True), Axis(str(METRIC)))
    labels = {f.name: f.label for f in FAMILIES}
    rows = tuple(
        (
            str(r.number), labels.get(r.family, r.family), str(r.round), r.state,
            number(r.score, METRIC), f"{r.fit_seconds:.1f}",
            ", ".join(f"{k}={format_value(v)}" for k, v in r.values.items()) or "-",
        )
        for r in records.trials
    )  # fmt: skip
    all_trials = Table(("trial", "model", "round", "state", str(METRIC), "fit s", "settings"), rows)
    return Section("search", "Search", [Charts([chart]), Captioned(all_trials, "All trials")])


def _data(result: Autopilot) -> Section:
    held_out = result.held_out
    parts = {
        "training": held_out.train,
        "validation, fold-in": held_out.validation.fold_in,
        "validation, held out": held_out.validation.held_out,
        **(
            {"test, fold-in": held_out.test.fold_in, "test, held out": held_out.test.held_out}
            if held_out.test is not None
            else {}
        ),
        "everyone (the last fit)": held_out.everyone,
    }
    rows = tuple(
        (name, f"{part.n_users:,}", f"{part.n_items:,}", f"{part.n_interactions:,}")
        for name, part in parts.items()
    )
    steps = held_out.protocol.get("steps", [])
    blocks = [
        Captioned(Table(("part", "users", "items", "interactions"), rows), "Parts of the log"),
        Bullets([f"held out: {held_out.protocol.get('kind')}", *map(str, steps)]),
    ]
    return Section("data", "Data", blocks)


def _settings(result: Autopilot, board: Leaderboard, bundle: Path) -> Section:
    metadata = load_bundle(bundle).metadata
    log = str(result.held_out.protocol.get("log", "LOG"))
    command = train_command(metadata, log, "BUNDLE")
    rows = tuple((name, str(value)) for name, value in metadata.settings.items())
    settings = Table(("setting", "value"), rows)
    blocks: list[Block] = [Captioned(settings, f"Settings of {board.winner.family.label}")]
    if command is not None:
        blocks.append("The command that fits the winner again (give the log's filters too):")
        blocks.append(Commands([f"{command} --validation-share 0"]))
    provenance = result.provenance
    versions = ", ".join(f"{k} {v}" for k, v in provenance.get("versions", {}).items())
    machine = provenance.get("machine", {})
    machine_lines = Bullets(
        [
            f"versions: {versions}; commit {provenance.get('commit') or 'unknown'}",
            f"machine: {machine.get('platform')}, {machine.get('cpus')} cores, "
            f"{machine.get('threads')} threads, {machine.get('device')}",
        ]
    )
    return Section("settings", "Settings", [*blocks, machine_lines])


def _colour(family: str) -> int:
    """Return the colour number of a family, the same on every page."""
    return [f.name for f in FAMILIES].index(family)
