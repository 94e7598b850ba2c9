"""`nearfar data fetch`, `inspect` and `split`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn
from rich.table import Table

from nearfar.cli.inputs import open_log
from nearfar.cli.log_options import LogOptions, parse_time
from nearfar.cli.options import count_or_share, with_options
from nearfar.cli.output import Output, table
from nearfar.core.errors import DataError
from nearfar.core.memory import readable
from nearfar.data.fetch import data_sets
from nearfar.data.fetch import fetch as fetch_data
from nearfar.data.filters import Filters, preset
from nearfar.data.inspect import LogReport, inspect_log
from nearfar.data.interactions import Split
from nearfar.data.log import read_parts
from nearfar.data.splits.by_time import split_by_time
from nearfar.data.splits.folder import save_split
from nearfar.data.splits.given import split_given
from nearfar.data.splits.strong import MIN_EVENTS, SEED, split_strong

app = typer.Typer(
    name="data",
    help="Download data sets, inspect a log, split it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

LogArgument = Annotated[
    str, typer.Argument(help="A log (CSV, TSV, Parquet, ...), a folder, or a data set's name.")
]


@app.command("fetch")
@with_options()
def fetch(
    name: Annotated[
        str | None, typer.Argument(help="Name of the data set; without it, all are listed.")
    ] = None,
    *,
    output: Output,
) -> None:
    """Download a data set into the cache ($NEARFAR_CACHE or ~/.cache/nearfar), once."""
    if name is None:
        known = data_sets()
        rows = [[n, source.licence] for n, source in known.items()]
        output.result(
            {"data_sets": sorted(known)}, table(None, ["data set", "licence"], rows, left=2)
        )
        return
    is_shown = output.stderr.is_terminal and not output.quiet
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=output.stderr, transient=True, disable=not is_shown) as bar:
        task = bar.add_task(name, total=None)

        def progress(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        path = fetch_data(name, progress=progress)
    output.result({"name": name, "path": str(path)}, str(path))


@app.command("inspect")
@with_options()
def inspect(
    log: LogArgument,
    log_options: LogOptions = LogOptions(),
    *,
    output: Output,
) -> None:
    """Describe a log: what it was read as, what was left out and why, and what remains.

    It takes the same filters and reading options as split and train, and shows the data that
    these would use:

    nearfar data inspect ratings.csv --min-rating 4 --since 2024-01-01
    """
    filters = log_options.filters
    events = open_log(log, log_options, output, filters.rows_only)
    report = inspect_log(events, filters)
    output.result(report.to_dict(), *log_tables(report))


@app.command("split")
@with_options()
def split(
    log: LogArgument,
    out: Annotated[Path, typer.Option("--out", help="The split's folder.")],
    protocol: Annotated[
        Literal["strong", "time", "given"],
        typer.Option(
            help="strong: test on users not in training (the published protocol); time: train "
            "before a date, test after it; given: data published in two parts."
        ),
    ] = "strong",
    held_out: Annotated[
        float,
        typer.Option(
            help="strong: number of users for validation, and again for test; below 1, a share "
            "of all users."
        ),
    ] = 0.1,
    validation_from: Annotated[
        str | None, typer.Option(help="time: start of the validation window (ISO date).")
    ] = None,
    test_from: Annotated[
        str | None, typer.Option(help="time: start of the test window (ISO date).")
    ] = None,
    preset_name: Annotated[
        str | None,
        typer.Option(
            "--preset", help="Use the published filters of this data set: ml-20m, netflix, msd."
        ),
    ] = None,
    log_options: LogOptions = LogOptions(),
    seed: Annotated[
        int,
        typer.Option("--seed", "--split-seed", help="strong and given: random seed of the split."),
    ] = SEED,
    *,
    output: Output,
) -> None:
    """Split a log into training, validation and test users, and save the split as a folder."""
    if protocol != "time" and (validation_from or test_from):
        raise typer.BadParameter("--validation-from and --test-from need --protocol time")
    filters = log_options.filters
    if preset_name is not None:
        if filters != Filters():
            raise typer.BadParameter("give either --preset or filters of your own")
        filters = preset(preset_name)
    if protocol == "given":
        if filters != Filters():
            raise typer.BadParameter(
                "--protocol given uses the parts as published; leave out the filters"
            )
        new_split = split_given(*read_parts(log), seed=seed)
    else:
        events = open_log(log, log_options, output, filters)
        if protocol == "time":
            if validation_from is None or test_from is None:
                raise typer.BadParameter("--protocol time needs --validation-from and --test-from")
            windows = parse_time(validation_from), parse_time(test_from)
            new_split = split_by_time(events, windows[0] or 0, windows[1] or 0)
        else:
            new_split = split_strong(events, count_or_share(held_out), seed)
    for name, part in (("validation", new_split.validation), ("test", new_split.test)):
        if not part.held_out.n_interactions:
            remedy = {
                "strong": f"a user needs {MIN_EVENTS} items to have a target; hold "
                "out more users with --held-out, loosen the filters, or train on the log itself "
                "(nearfar train ALGORITHM --data LOG), where two items are enough",
                "time": "move the dates, or loosen the filters",
            }.get(protocol, "its users need items that the training part has")
            raise DataError(
                f"the {name} part has nothing to find ({part.n_users:,} users): {remedy}"
            )
    save_split(new_split, out)
    output.result(_summary(new_split, out), _split_table(new_split), f"saved {out}")


def _summary(new_split: Split, out: Path) -> dict[str, Any]:
    return {"split": str(out), "fingerprint": new_split.fingerprint, "protocol": new_split.protocol}


def _split_table(new_split: Split):
    rows = [["train", f"{new_split.train.n_users:,}", f"{new_split.train.n_interactions:,}", ""]]
    for name, part in (("validation", new_split.validation), ("test", new_split.test)):
        rows.append(
            [
                name, f"{part.n_users:,}", f"{part.fold_in.n_interactions:,}",
                f"{part.held_out.n_interactions:,}",
            ]
        )  # fmt: skip
    columns = ["", "users", "interactions", "to find"]
    return table(f"{new_split.train.n_items:,} items", columns, rows)


def log_tables(report: LogReport) -> list[Table]:
    """Return a report as tables: sizes, quantiles, filters, and costs of training."""
    return [
        _sizes_table(report),
        _quantiles_table(report),
        _filters_table(report),
        _needs_table(report),
    ]


def _reading_rows(report: LogReport) -> list[list[str]]:
    """Return rows that say what a log was read as and what was left out."""
    if report.read is None:
        return []
    read = report.read
    layout = f" ({read['layout']})" if read["layout"] else ""
    files = f", {len(read['files'])} files" if len(read["files"]) > 1 else ""
    rows = [["read as", f"{read['format']}{layout}{files}"]]
    roles = "  ".join(f"{role}: {column}" for role, column in read["columns"].items())
    rows += [["columns by role", roles]] if roles else []
    unused = read["unused_columns"]
    rows += [["columns not used", ", ".join(unused[:20])]] if unused else []
    rows += [["files not read", ", ".join(read["skipped_files"][:8])]] * bool(read["skipped_files"])
    rows += [["rows read", f"{read['n_rows']:,}"], ["rows kept", f"{read['n_kept']:,}"]]
    rows += [["left out", f"{n:,} rows: {reason}"] for reason, n in read["left_out"].items()]
    rows += [["converted", f"{n:,} values: {what}"] for what, n in read["converted"].items()]
    rows += [
        ["counted although", f"{n:,} rows: {what}"] for what, n in read["contradictions"].items()
    ]
    return rows + ([["times", read["times"]]] if read["times"] else [])


def _sizes_table(report: LogReport) -> Table:
    rows = [
        *_reading_rows(report),
        ["users", f"{report.n_users:,}"],
        ["items", f"{report.n_items:,}"],
        ["events", f"{report.n_events:,}"],
        ["repeated events", f"{report.n_repeated:,}"],
        ["interactions", f"{report.n_interactions:,}"],
        ["density", f"{report.density:.4%}"],
        ["columns", ", ".join([*report.columns, *report.item_details])],
    ]
    if report.first is not None and report.span_days is not None:
        rows.append(["time", f"{report.first} to {report.last} ({report.span_days:,.0f} days)"])
    else:
        rows.append(["time", "none: no column of times is known; name one with --time-column"])
    if report.ratings is not None:
        shares = (f"{r}: {n / report.n_events:.1%}" for r, n in report.ratings.items())
        rows.append(["ratings", "  ".join(shares)])
    if report.zero_ratings:
        rows.append(["ratings of 0", f"{report.zero_ratings:.1%}; they count as ratings"])
    rows += [["dropped", step] for step in report.dropped_while_reading]
    result = Table(title=report.name, title_justify="left", box=None, show_header=False)
    result.add_column()
    result.add_column(overflow="fold")
    for row in rows:
        result.add_row(*row)
    return result


def _quantiles_table(report: LogReport) -> Table:
    names = {"0": "least", "0.5": "median", "1": "most"}
    columns = ["\nquantile", *(names.get(q, q) for q in report.activity)]
    rows = [
        ["interactions per user", *(f"{v:,.0f}" for v in report.activity.values())],
        ["interactions per item", *(f"{v:,.0f}" for v in report.popularity.values())],
    ]
    return table(None, columns, rows)


def _filters_table(report: LogReport) -> Table:
    rows = [
        [d.filter, f"{d.events:,}", f"{d.users:,}", f"{d.items:,}",
         f"{d.left_users:,} x {d.left_items:,}"]
        for d in report.would_drop
    ]  # fmt: skip
    columns = ["\nfilter would drop", "interactions", "users", "items", "left"]
    return table(None, columns, rows)


def _needs_table(report: LogReport) -> Table:
    needs = report.needs
    hours = needs.mult_vae_hours
    time = "not measured" if hours is None else _duration(hours)
    rows = [
        ["EASE", readable(needs.ease_bytes), "seconds to minutes"],
        ["Mult-VAE, 200 epochs", readable(needs.mult_vae_bytes), f"about {time} on this CPU"],
    ]
    return table(None, ["\ntraining would take", "memory", "time"], rows)


def _duration(hours: float) -> str:
    if hours < 1 / 30:
        return f"{hours * 3600:.0f} s"
    return f"{hours * 60:.0f} min" if hours < 2 else f"{hours:.1f} h"
