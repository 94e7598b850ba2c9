"""`nearfar autopilot`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import TextColumn
from rich.table import Column

from nearfar.bundle.folder import check_destination
from nearfar.cli.exit_codes import CODES, REASONS, same_command
from nearfar.cli.inputs import open_log
from nearfar.cli.log_options import LogOptions
from nearfar.cli.options import DeviceOption, Seed, Track, with_options
from nearfar.cli.output import Output
from nearfar.cli.progress import LiveBar
from nearfar.core.errors import MissingExtraError
from nearfar.experiments.autopilot.autopilot import Autopilot, AutopilotOptions
from nearfar.experiments.autopilot.autopilot import autopilot as run_autopilot
from nearfar.experiments.autopilot.page import PAGE, write_page
from nearfar.train.history import EpochRecord, StepReport
from nearfar.train.run import Precision
from nearfar.train.tracking import check_targets, reporting_to


@with_options()
def autopilot(
    ctx: typer.Context,
    log: Annotated[
        str, typer.Argument(help="A log (CSV, TSV, Parquet, ...), a folder, or a data set's name.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder of the winner's bundle.")],
    minutes: Annotated[
        float,
        typer.Option(
            help="Budget in minutes for search and final fit, including earlier calls.", min=0.01
        ),
    ] = 30.0,
    goal: Annotated[
        Literal["accuracy", "speed"],
        typer.Option(
            "--for",
            help="accuracy: the highest validation NDCG@100. speed: the model "
            "that ranks the most users per second among those with 98% of it.",
        ),
    ] = "accuracy",
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            help="Families, comma-separated: popularity, ease, edlae, plrec, wmf, multvae, "
            "multvae+richer, multvae+pia, recvae, recvae+pia, blend. multvae means all three.",
        ),
    ] = None,
    time_split: Annotated[
        bool,
        typer.Option(
            "--time-split",
            help="Hold out the last events by time: the last tenth for the test, the tenth "
            "before it for validation.",
        ),
    ] = False,
    log_options: LogOptions = LogOptions(),
    precision: Annotated[
        Precision, typer.Option(help="Precision of the output layer's products; see nearfar train.")
    ] = "float32",
    track: Track = None,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    output: Output,
) -> None:
    """Find the best model of all families for a log, and save it as a bundle.

    Example: nearfar autopilot events.parquet --out best --minutes 30 --min-user 5

    A tenth of the users (200 to 10,000) is held out for validation. Every family is fitted once;
    then, round by round, the better half of the families continues with settings around the best
    so far. A family that does not fit in memory or time is left out, with the reason. The model
    with the highest validation NDCG@100 wins. With 5,000 users or more, it is measured once on
    separate test users. It is then fitted on all users.

    OUT is the bundle. OUT.autopilot contains leaderboard.json, report.html, trials.json and the
    values per user. All cores are used. Ctrl-C keeps all finished trials (exit code 130); the
    same command continues from there.
    """
    names = tuple(name.strip() for name in only.split(",")) if only else ()
    options = AutopilotOptions(minutes, goal, names, time_split, seed, device, precision)
    check_destination(out)
    check_targets(track or ())
    events = open_log(log, log_options, output)
    with AutopilotProgress(output, minutes) as progress:

        @contextmanager
        def begin_fit(title: str) -> Iterator[AutopilotProgress]:
            progress.begin(title)
            yield progress

        reporting = reporting_to(begin_fit, track or (), out.name)
        result = run_autopilot(events, out, options, say=progress.say, reporting=reporting)
    page = _write_page(result, output)
    _print_result(result, page, output)
    if result.stop is not None:
        output.warning(f"{REASONS[result.stop]}; continue with: {same_command(ctx)}")
        raise typer.Exit(CODES[result.stop])
    if result.leaderboard is None:
        output.warning("no family could be fitted; the reasons are listed above")
        raise typer.Exit(1)


def _write_page(result: Autopilot, output: Output) -> Path | None:
    """Write the report page; without Plotly, print a warning and return None."""
    if result.leaderboard is None or result.bundle is None:
        return None
    path = result.folder / PAGE
    try:
        write_page(result, path)
    except MissingExtraError as error:
        output.warning(f"no report page: {error}")
        return None
    return path


def _print_result(result: Autopilot, page: Path | None, output: Output) -> None:
    board = result.leaderboard
    value = {**result.to_dict(), "page": str(page) if page else None}
    if board is None:
        output.result(value, "no finished trial yet")
        return
    lines = [str(board.table()), "", board.verdict()]
    if result.test is not None:
        metric = next(iter(reversed(result.test["metrics"])))
        values = result.test["metrics"][metric]
        half = (values["high"] - values["low"]) / 2
        lines.append(
            f"On {result.test['n_users']:,} separate test users: {metric} "
            f"{values['mean']:.4f} ±{half:.4f}."
        )
    lines.append(
        f"\n{result.n_trials} trials in {result.seconds / 60:.1f} min"
        + (f"; saved {result.bundle}, fitted on all users" if result.bundle else "")
        + (f"; {page}" if page else f"; {result.folder}")
    )
    if result.bundle:
        lines.append(f"nearfar recommend {result.bundle} --items ID,ID")
    output.result(value, *lines)


class AutopilotProgress(LiveBar):
    """Shows the progress of a search and of its fits; use it as a context manager.

    Args:
        output: where to print.
        minutes: the budget in minutes.
    """

    def __init__(self, output: Output, minutes: float) -> None:
        self.seconds = 60 * minutes
        left = TextColumn("{task.fields[left]}", table_column=Column(no_wrap=True))
        super().__init__(output, "autopilot", left, total=self.seconds, left="")
        self.started = time.monotonic()
        self.title = self.state = ""

    def say(self, text: str) -> None:
        """Print a line of the search, above the bar if there is one."""
        self.output.remark(text)
        self._update()

    def begin(self, title: str) -> None:
        """Show which family is being fitted."""
        self.title, self.state = title, ""
        self._update()

    def step(self, report: StepReport, /) -> None:
        """Show the epoch of a fit."""
        self.state = f"epoch {report.epoch + 1} of {report.n_epochs}"
        self._update()

    def epoch(self, record: EpochRecord, /) -> None:
        """Show the validation score of the last epoch."""
        score = next(iter(record.validation.items()), None)
        if score is not None:
            self.state = f"epoch {record.epoch + 1}, {score[0]} {score[1]:.4f}"
        self._update()

    def _update(self) -> None:
        elapsed = time.monotonic() - self.started
        left = max(self.seconds - elapsed, 0.0)
        time_left = f"{left / 60:.0f} min left" if left >= 90 else f"{left:.0f} s left"
        self.show(
            completed=min(elapsed, self.seconds), left=time_left,
            description=self.title or "autopilot", state=self.state,
        )  # fmt: skip
