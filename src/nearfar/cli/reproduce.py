"""`nearfar reproduce`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from nearfar.cli.exit_codes import CODES, REASONS, same_command
from nearfar.cli.log_options import DETAILS, WEIGHTS, LogOptions
from nearfar.cli.options import DeviceOption, Level, Seed, count_or_share, with_options
from nearfar.cli.output import Output
from nearfar.cli.progress import TrainingProgress
from nearfar.core import settings
from nearfar.core.assignments import parse_assignments
from nearfar.core.errors import SettingsError
from nearfar.data.filters import Filters
from nearfar.evaluation.groups import parse_groups
from nearfar.evaluation.text import aligned
from nearfar.experiments.reproduction.datasets import NAMES, OwnData, data_set
from nearfar.experiments.reproduction.report import DEFAULT_GROUPS, ReproductionReport
from nearfar.experiments.reproduction.reproduce import reproduce as run_reproduction
from nearfar.experiments.reproduction.rows import Table, named_rows
from nearfar.experiments.reproduction.study import SeedResult, Study, StudyPlan
from nearfar.metrics.metric import parse_metric
from nearfar.tables.columns import Columns
from nearfar.train.run import Precision
from nearfar.train.tracking import reporting_to


@with_options(without=(*DETAILS, *WEIGHTS, "format", "min_user"))
def reproduce(
    ctx: typer.Context,
    which: Annotated[
        Table,
        typer.Argument(
            metavar="TABLE",
            help="table1: all models; groups: Table 3, users by activity; table6: encoders; "
            "figure2: the latent map; ablations: the parts of the alignment term; tradeoff:"
            " section 2.4, the KL weight against masking and alignment.",
        ),
    ],
    dataset: Annotated[
        str,
        typer.Option("--dataset", help=f"{', '.join(NAMES)}, synthetic:SHAPE, a log, or a split."),
    ],
    data: Annotated[
        Path | None,
        typer.Option("--data", help="The named data set's raw file, if not in the cache."),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            "--only", help='Only these rows, such as ease,multvae+pia or "EASE,Multi-VAE + PIA".'
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(help="Number of splits, each with its own training.", min=1)
    ] = 1,
    budget: Annotated[
        float | None,
        typer.Option(metavar="MINUTES", help="Stop after this many minutes, with exit code 3."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The output folder. [reproduction/DATASET]")
    ] = None,
    list_cells: Annotated[
        bool, typer.Option("--list", help="List the cells and which of them exist; run nothing.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="TOML file with your settings, one table per algorithm."),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="One setting, such as multvae.epochs=5 or multvae+pia.epochs=9; may be given "
            "several times.",
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics", help="Metrics instead of the data set's, such as ndcg@10,recall@5."
        ),
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(
            "--groups", help="Only for the table groups: the user groups. [5-10,11-50,51-100,101-]"
        ),
    ] = None,
    level: Level = 0.95,
    keep_models: Annotated[
        bool, typer.Option("--keep-models", help="Save every model as a bundle in OUT/models.")
    ] = False,
    precision: Annotated[
        Precision, typer.Option(help="Precision of the output layer's products; see nearfar train.")
    ] = "float32",
    held_out: Annotated[
        float | None,
        typer.Option(
            help="Only for a log: number of users for validation, and again for test; below 1, a"
            " share of all users."
        ),
    ] = None,
    settings_of: Annotated[
        str | None,
        typer.Option(help="Only for a log: use the settings of this data set. [ml-1m]"),
    ] = None,
    log_options: LogOptions = LogOptions(),
    min_user: Annotated[
        int | None,
        typer.Option(
            "--min-user",
            help="Only for a log: keep users with at least this many items. [5]",
            min=0,
        ),
    ] = None,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    output: Output,
) -> None:
    """Reproduce a table or figure of the paper: our values with intervals and the published ones.

    Finished fits are stored in OUT under a fingerprint of settings, split and seed, so the same
    command continues where it was stopped. Writes OUT/TABLE.json, .md and .png. Exit code 0:
    complete; 1: a row failed, the others are valid; 3: the budget is used up, and the same command
    continues.
    """
    filters = log_options.filters
    unfiltered = filters == Filters() and min_user is None
    own = OwnData(
        filters=None
        if unfiltered
        else replace(filters, min_user=5 if min_user is None else min_user),
        columns=Columns(**log_options.columns),
        reading=log_options.reading,
        held_out=None if held_out is None else count_or_share(held_out),
        settings_of=settings_of,
    )
    plan = StudyPlan(
        table=which,
        data=data_set(dataset, data=data, own=own),
        folder=out or Path("reproduction") / _slug(dataset),
        only=named_rows(which, only) if only else (),
        seeds=seeds,
        seed=seed,
        metrics=tuple(parse_metric(part) for part in metrics.split(",")) if metrics else (),
        overrides=_overrides(config, assignments),
        keep_models=keep_models,
        device=device,
        precision=precision,
    )
    bounds = parse_groups(groups) if groups else DEFAULT_GROUPS
    if list_cells:
        entries = Study(plan).entries()
        output.result({"cells": [_cell(e) for e in entries]}, _cells_text(entries))
        return
    report = run_reproduction(
        plan, minutes=budget, groups=bounds, level=level, say=output.remark,
        reporting=reporting_to(lambda title: TrainingProgress(output, title)),
        raise_errors=output.debug,
    )  # fmt: skip
    _print_report(report, output)
    command = same_command(ctx)
    for summary in report.failed:
        output.warning(f"{summary.row.label} failed: {'; '.join(summary.troubles)}")
    if report.stop is not None and not report.complete:
        output.warning(f"{REASONS[report.stop]}; continue with: {command}")
        if report.stop != "budget" or not report.failed:
            raise typer.Exit(CODES[report.stop])
    if report.failed:
        output.warning(f"to try the failed rows again: {command}")
        raise typer.Exit(1)


def _overrides(config: Path | None, assignments: list[str] | None) -> dict[str, Any]:
    """Return the settings by algorithm; those of the command line override the file's."""
    values = settings.merge(
        settings.read_toml(config) if config else {},
        parse_assignments(assignments or []),
    )
    for name, value in values.items():
        if not isinstance(value, dict):
            raise SettingsError(
                f"{name}={value!r} does not name an algorithm; write for example multvae.{name}=..."
            )
    return values


def _print_report(report: ReproductionReport, output: Output) -> None:
    shown = [report.title]
    for section in report.sections:
        shown += ["", *([section.title] if section.title else []), str(section.table)]
    files = ", ".join(
        report.path(s).name for s in (".json", ".md", ".png") if report.path(s).exists()
    )
    output.result(report.to_dict(), *shown, f"\nwritten to {report.plan.folder}/: {files}")


def _cell(entry: SeedResult) -> dict[str, Any]:
    fit = entry.measured.fit if entry.measured else {}
    return {
        "row": entry.row.label,
        "seed": entry.seed,
        "state": _state(entry),
        "fit_seconds": fit.get("fit_seconds"),
        "fingerprint": entry.cell.fingerprint if entry.cell else None,
        "reason": entry.trouble,
    }


def _state(entry: SeedResult) -> str:
    if entry.measured is not None:
        return "done"
    if entry.trouble is not None:
        return "failed"
    if entry.begun:
        return "begun"
    return "missing" if entry.cell is not None else "missing, split not made"


def _cells_text(entries: list[SeedResult]) -> str:
    cells = [_cell(entry) for entry in entries]
    rows = []
    for cell in cells:
        seconds = "" if cell["fit_seconds"] is None else f"{cell['fit_seconds']:,.1f} s"
        rows.append(
            (cell["row"], f"{cell['seed']}", cell["state"], seconds, cell["fingerprint"] or "")
        )
    reasons = dict.fromkeys(f"{c['row']}: {c['reason']}" for c in cells if c["reason"])
    return "\n".join([aligned(("row", "seed", "state", "fit", "fingerprint"), rows), *reasons])


def _slug(name: str) -> str:
    """Return a folder name for a data set: "synthetic-ml-1m" for "synthetic:ml-1m"."""
    text = Path(name).name or name
    return "-".join("".join(c if c.isalnum() or c in "-._" else " " for c in text).split())
