"""`nearfar diagnose`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from nearfar.bundle.folder import load_bundle
from nearfar.bundle.theory_subject import fingerprints
from nearfar.cli import inputs
from nearfar.cli.options import DeviceOption, Seed, with_options
from nearfar.cli.output import Output, table
from nearfar.core.files import write_json
from nearfar.data.interactions import Part
from nearfar.data.splits.folder import load_split
from nearfar.experiments.diagnosis import subjects_of
from nearfar.pages.matplotlib import check_picture, write_picture
from nearfar.report.sections.diagnostics import curve_charts
from nearfar.theory.diagnosis import (
    Diagnosis,
    diagnose,
    estimated_seconds,
    examined_on,
    number_rows,
    sentences_of,
)
from nearfar.theory.instrument import Finding, Instrument, all_instruments, instruments_named
from nearfar.theory.subject import Subject

JSON = ".json"


@with_options()
def diagnose_bundles(
    bundle: Annotated[Path, typer.Argument(help="The folder of an autoencoder's bundle.")],
    data: Annotated[Path, typer.Option("--data", help="A split folder.")],
    compare: Annotated[
        list[Path] | None,
        typer.Option("--compare", help="Another bundle to compare; may be given several times."),
    ] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out", help="Also write a .json, .png, .svg or .pdf file; may be given several times."
        ),
    ] = None,
    users: Annotated[
        int, typer.Option("--users", help="Number of users in the sample.", min=20)
    ] = 1000,
    sharing_users: Annotated[
        int,
        typer.Option(
            "--sharing-users",
            help="Number of these users for the sharing radius, which compares pairs.",
            min=2,
        ),
    ] = 100,
    of: Annotated[
        Part, typer.Option("--of", help="Which users to take: all, train, or held-out.")
    ] = "all",
    keep_prob: Annotated[
        float, typer.Option("--keep-prob", help="Share of a history that a mask keeps.")
    ] = 0.5,
    masks: Annotated[int, typer.Option("--masks", help="Number of masks per user.", min=2)] = 8,
    only: Annotated[
        str | None,
        typer.Option(
            "--only", help="Run only these instruments, comma-separated, such as sharing,health."
        ),
    ] = None,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    output: Output,
) -> None:
    """Measure the paper's theory on a fitted model: who helps whom, and what masks do.

    Measures, on a random sample of users: sharing radius (Theorem 2.3), distances between users
    (Lemma 2.4), the price of overlap (2.5), masked distances (2.6), information (Eq. 5-7),
    alignment (Propositions 3.1, 3.2), collapsed dimensions and neighbourhoods under masks. 1,000
    users take half a minute to two minutes per bundle; fewer (--users, --sharing-users) take less.
    """
    by_name = inputs.bundles_by_name([bundle, *(compare or [])])
    instruments = (
        all_instruments()
        if only is None
        else instruments_named(name.strip() for name in only.split(","))
    )
    for path in out or []:
        if path.suffix.lower() != JSON:
            check_picture(path, purpose="a picture of curves")
    split = load_split(data)
    bundles = {title: load_bundle(path, device=device) for title, path in by_name.items()}
    for title, loaded in bundles.items():
        inputs.warn_of_other_data(title, loaded, split, output)
    subjects = subjects_of(
        bundles, split, users=users, sharing_users=sharing_users, of=of, keep_prob=keep_prob,
        masks=masks, seed=seed,
    )  # fmt: skip
    n_users = next(iter(subjects.values())).n_users
    cost = estimated_seconds(subjects, instruments)
    output.remark(
        f"{n_users:,} users, {len(instruments)} instruments, {len(subjects)} "
        f"{'bundle' if len(subjects) == 1 else 'bundles'}: about {max(1, round(cost)):,} s"
    )
    started = time.perf_counter()
    with _progress(output, subjects, instruments, cost) as on_measurement:
        diagnosis = diagnose(subjects, instruments, on_measurement)
    seconds = time.perf_counter() - started
    value = {
        "bundles": {title: str(path) for title, path in by_name.items()},
        "split": str(data), "fingerprints": fingerprints(split, bundles, by_name),
        **examined_on(subjects), "of": of, "seed": seed,
        "estimated_seconds": cost, "total_seconds": seconds, **diagnosis.to_dict(),
    }  # fmt: skip
    for path in out or []:
        if path.suffix.lower() == JSON:
            write_json(path, value)
        else:
            write_picture(curve_charts(diagnosis), path)
    output.result(value, *_tables(diagnosis), f"measured in {seconds:.0f} s")


@contextlib.contextmanager
def _progress(
    output: Output,
    subjects: Mapping[str, Subject],
    instruments: Mapping[str, Instrument],
    seconds: float,
) -> Iterator[Callable[[str, str], None]]:
    """Show a bar with the time left on a terminal, a line per measurement elsewhere.

    Args:
        output: where to print.
        subjects: the fitted models by title.
        instruments: the instruments by name.
        seconds: estimated time of all measurements, shown until the first one is done.

    Yields:
        The function to call with an instrument's and a model's title before a measurement.
    """
    if output.quiet or not output.stderr.is_terminal:
        yield lambda what, title: output.remark(f"{title}: {what} ...")
        return
    costs = [i.work(subject) for i in instruments.values() for subject in subjects.values()]
    costs_done = iter(np.cumsum([0.0, *costs]).tolist())
    total, started = max(sum(costs), 1.0), time.monotonic()
    columns = (TextColumn("{task.fields[left]}"), BarColumn(24), TextColumn("{task.description}"))
    with Progress(*columns, console=output.stderr, transient=True) as bar:
        task = bar.add_task("", total=total, left="")

        def update(what: str, title: str) -> None:
            done = next(costs_done)
            elapsed = time.monotonic() - started
            left = elapsed * (total - done) / done if done else seconds
            text = f"about {max(1, round(left)):,} s left"
            bar.update(task, completed=done, left=text, description=f"{title}: {what}")

        yield update


def _tables(diagnosis: Diagnosis) -> list[Table | str]:
    """Return a table per instrument, followed by sentences on its numbers."""
    parts: list[Table | str] = []
    for by_title in diagnosis.findings.values():
        parts += _finding_table(by_title)
    if diagnosis.neighbours:
        rows = [[a, b, f"{100 * share:.0f} %"] for (a, b), share in diagnosis.neighbours.items()]
        parts.append(table("nearest neighbours in common", ["", "", "share"], rows, left=2))
    return parts


def _finding_table(by_title: dict[str, Finding]) -> list[Table | str]:
    first = next(iter(by_title.values()))
    present = {title: finding for title, finding in by_title.items() if finding.absent is None}
    heading = f"\n{first.title} ({first.source})"
    rows = number_rows(present)
    return [
        table(heading, ["", "", *present], rows, left=2) if present else heading,
        *(f"  {sentence}" for sentence in sentences_of(by_title)),
    ]
