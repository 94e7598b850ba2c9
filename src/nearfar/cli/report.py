"""`nearfar report`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated

import typer

from nearfar.bundle.folder import load_bundle
from nearfar.cli import inputs
from nearfar.cli.exit_codes import same_command
from nearfar.cli.options import DeviceOption, Seed, with_options
from nearfar.cli.output import Output, rich_table
from nearfar.core.errors import ArtefactError
from nearfar.core.manifest import is_bundle
from nearfar.data.interactions import Split
from nearfar.data.splits.folder import load_split
from nearfar.evaluation.table import comparison_table
from nearfar.experiments.reproduction.cells import is_study, saved_models
from nearfar.pages.page import check_page
from nearfar.report.page import write_report
from nearfar.report.report import N_USERS, QUALITY, Options, make_report


@with_options()
def report_page(
    ctx: typer.Context,
    bundles: Annotated[
        list[Path],
        typer.Argument(
            help="Bundles' folders, the first the baseline; a folder of bundles, as nearfar demo "
            "writes; or one of nearfar reproduce --keep-models."
        ),
    ],
    data: Annotated[Path, typer.Option("--data", help="A split folder.")],
    out: Annotated[Path, typer.Option("--out", help="The page, a .html file.")],
    users: Annotated[
        int,
        typer.Option("--users", help="Maximum number of users for map and diagnostics.", min=20),
    ] = N_USERS,
    no_diagnostics: Annotated[
        bool, typer.Option("--no-diagnostics", help="Leave out the paper's instruments.")
    ] = False,
    no_map: Annotated[bool, typer.Option("--no-map", help="Leave out the latent map.")] = False,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    output: Output,
) -> None:
    """Write one HTML page about bundles: how good they are, for which users, and why.

    The page has data, training, quality, groups, popularity, map, diagnostics, and the settings
    to reproduce it.

    Bundles may be of any algorithm; map and diagnostics are for autoencoders only. The page is
    one file that needs no network. Three autoencoders on MovieLens-1M take about a minute of one
    core, most of it diagnostics.
    """
    check_page(out, "a report")
    options = Options(users, seed, diagnostics=not no_diagnostics, latent_map=not no_map)
    options.check_installed()
    split = load_split(data)
    paths = _bundle_paths(bundles, split)
    loaded = {title: load_bundle(path, device=device) for title, path in paths.items()}
    started = time.perf_counter()
    report = make_report(loaded, split, options, output.remark)
    for note in report.notes:
        output.warning(note)
    write_report(report, out, source=str(data), command=_command(ctx))
    seconds = time.perf_counter() - started
    output.result(
        {
            "page": str(out), "bundles": {title: str(path) for title, path in paths.items()},
            "seconds": seconds, **report.to_dict(),
        },
        rich_table(comparison_table(report.evaluations, QUALITY, seed=seed), "test users"),
        f"\nwritten in {seconds:.0f} s: {out}",
    )  # fmt: skip


def _command(ctx: typer.Context) -> str:
    """Return the current command line without options that have no effect on the page."""
    ignored = ("--json", "--quiet", "--debug")
    return shlex.join(word for word in shlex.split(same_command(ctx)) if word not in ignored)


def _bundle_paths(paths: list[Path], split: Split) -> dict[str, Path]:
    """Return the bundles by title, in the order given; a folder of bundles stands for all of them.

    Raises:
        ArtefactError: a folder has no bundle, or no model of the split.
    """
    labelled: list[tuple[str | None, Path]] = []
    for path in paths:
        if is_bundle(path) or not path.is_dir():
            labelled.append((None, path))
        elif is_study(path):
            labelled += _study_models(path, split)
        else:
            inside = sorted(entry for entry in path.iterdir() if is_bundle(entry))
            labelled += [(None, entry) for entry in inside or [path]]
    by_name = inputs.bundles_by_name([path for label, path in labelled if label is None])
    names = {path: name for name, path in by_name.items()}
    titles = [names[path] if label is None else label for label, path in labelled]
    return {
        title if titles.count(title) == 1 else f"{title} ({path})": path
        for title, (_, path) in zip(titles, labelled, strict=True)
    }


def _study_models(study: Path, split: Split) -> list[tuple[str | None, Path]]:
    """Return the labels and paths of the models that a reproduction saved for a split."""
    models = saved_models(study, split.fingerprint)
    if not models:
        raise ArtefactError(
            f"{study} has no model that was fitted on this split; give a split from "
            f"{study / 'splits'} with --data, and run nearfar reproduce with --keep-models"
        )
    return list(models.items())
