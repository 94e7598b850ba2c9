"""`nearfar pipeline`: the jobs of a production system."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from nearfar.cli.exit_codes import REFUSED
from nearfar.cli.options import Track, with_options
from nearfar.cli.output import Output
from nearfar.cli.pipeline_init import DEFAULT, AsOf, init, parse_day
from nearfar.cli.pipeline_output import (
    errors_as_json,
    run_json,
    run_text,
    scoring_text,
    status_text,
    training_json,
    training_text,
)
from nearfar.cli.progress import TrainingProgress
from nearfar.core.extras import require
from nearfar.jobs.executor import LOCAL, Executor
from nearfar.jobs.pipeline import Pipeline, read_pipeline
from nearfar.jobs.publish import publish as publish_version
from nearfar.jobs.publish import refused_since
from nearfar.jobs.publish import rollback as roll_back
from nearfar.jobs.retention import remove_day as remove_published_day
from nearfar.jobs.run_due import run_due
from nearfar.jobs.score_daily import score_daily
from nearfar.jobs.status import status as status_of
from nearfar.jobs.status import write_prometheus
from nearfar.jobs.train_weekly import train_weekly
from nearfar.train.callback import Callback
from nearfar.train.tracking import trackers

app = typer.Typer(
    name="pipeline",
    help="Train weekly, publish and score daily, in production.\n\n"
    "Workflow: init, edit the file, then run every day from a scheduler. Exit code 4: the gates "
    "refused the candidate, and the current version stays.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Config = Annotated[Path, typer.Option("--config", "-c", help="The pipeline's TOML file.")]


@dataclass(frozen=True)
class WorkOptions:
    """How a job runs, and which failed checks it accepts."""

    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHECK",
            help="Continue this once although this check fails: a check of the contract (volume,"
            " missing, unusable, misdated, repeated, rejected), or a gate by its setting's "
            "name (such as max_coverage_drop). May be given several times.",
        ),
    ] = None
    allow_future: Annotated[
        bool,
        typer.Option(
            "--allow-future", help="Allow a day after today (UTC), which is refused by default."
        ),
    ] = False
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Distribute the work over N processes with Ray; needs nearfar[cluster].",
        ),
    ] = None
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Address of the Ray cluster, or auto."),
    ] = None

    def arguments(self, pipeline: Pipeline) -> dict[str, Any]:
        """Return the options as arguments of a job."""
        return {
            "accept": self.accept or (),
            "allow_future": self.allow_future,
            "executor": self._executor(pipeline),
        }

    def _executor(self, pipeline: Pipeline) -> Executor:
        """Return this process, or workers on one machine or a cluster."""
        if self.workers is None and self.ray is None:
            return LOCAL
        require("ray", extra="cluster", purpose="work on several machines")
        from nearfar.cluster import executor
        from nearfar.cluster.workers import Workers

        gpus = int(pipeline.train.device == "cuda")
        return executor.RayExecutor(Workers(count=self.workers or 2, address=self.ray, gpus=gpus))


app.command("init")(init)


@app.command()
@with_options()
def train(
    config: Config = DEFAULT,
    as_of: AsOf = None,
    work: WorkOptions = WorkOptions(),
    track: Track = None,
    *,
    output: Output,
) -> None:
    """Train, check and register a candidate from the window up to a day; publish nothing."""
    with _training(config, output, as_of, track) as (pipeline, day, callbacks):
        trained = train_weekly(
            pipeline, day, say=output.remark, callbacks=callbacks, **work.arguments(pipeline)
        )
    output.result(training_json(trained), *training_text(trained))
    if not trained.passed:
        raise typer.Exit(REFUSED)


@app.command()
@with_options()
def publish(
    version: Annotated[
        str | None, typer.Argument(help="The version; by default the newest that passed the gates.")
    ] = None,
    config: Config = DEFAULT,
    force: Annotated[
        bool, typer.Option("--force", help="Publish a version that the gates refused, too.")
    ] = False,
    *,
    output: Output,
) -> None:
    """Make a version current, atomically for all readers of the registry's pointer."""
    with _open_pipeline(config, output) as pipeline:
        current = publish_version(pipeline.registry, version, force=force)
        for refused in refused_since(pipeline.registry, current) if version is None else ():
            output.remark(f"{refused} is newer and was refused by the gates: it is not published")
    output.result({"current": current.name}, f"{current.name} is current")


@app.command()
@with_options()
def rollback(config: Config = DEFAULT, *, output: Output) -> None:
    """Make the previous version current again."""
    with _open_pipeline(config, output) as pipeline:
        current = roll_back(pipeline.registry)
    output.result({"current": current.name}, f"{current.name} is current again")


@app.command()
@with_options()
def score(
    config: Config = DEFAULT,
    as_of: AsOf = None,
    again: Annotated[
        bool, typer.Option("--again", help="Score the day again if it is already published.")
    ] = False,
    work: WorkOptions = WorkOptions(),
    *,
    output: Output,
) -> None:
    """Score all users active in the days up to a day, with the current version."""
    with (
        _open_pipeline(config, output) as pipeline,
        output.counting("scoring", "users") as show_count,
    ):
        scored = score_daily(
            pipeline, parse_day(as_of), again=again, say=output.remark,
            on_users=lambda done, _: show_count(done), **work.arguments(pipeline),
        )  # fmt: skip
    output.result(dict(vars(scored)), scoring_text(scored))


@app.command()
@with_options()
def run(
    config: Config = DEFAULT,
    as_of: AsOf = None,
    work: WorkOptions = WorkOptions(),
    track: Track = None,
    *,
    output: Output,
) -> None:
    """Run what is due: train if a week is over, publish a version that passed, score the day."""
    with _training(config, output, as_of, track) as (pipeline, day, callbacks):
        result = run_due(
            pipeline, day, say=output.remark, callbacks=callbacks, **work.arguments(pipeline)
        )
    output.result(run_json(result), *run_text(result))
    if result.failure is not None:
        raise result.failure
    if result.trained is not None and not result.trained.passed:
        raise typer.Exit(REFUSED)


@app.command("remove-day")
@with_options()
def remove_day(
    day: Annotated[str, typer.Argument(metavar="DATE", help="The day, as 2026-08-01.")],
    config: Config = DEFAULT,
    *,
    output: Output,
) -> None:
    """Remove a day of recommendations; readers then see the latest remaining day.

    Use it for a day written by mistake, such as a future date. Versions stay; nearfar pipeline
    score --as-of DATE writes the day again.
    """
    with _open_pipeline(config, output) as pipeline:
        removed = parse_day(day, "DATE")
        latest = remove_published_day(pipeline, removed)
    left = "no day is left" if latest is None else f"the latest is now {latest}"
    value = {"removed": str(removed), "latest": None if latest is None else str(latest)}
    output.result(value, f"{removed} is removed; {left}")


@app.command()
@with_options()
def status(config: Config = DEFAULT, *, output: Output) -> None:
    """Show the versions, their gates, the current version and its age, and each job's last run."""
    with _open_pipeline(config, output) as pipeline:
        value = status_of(pipeline.registry)
    output.result(value, *status_text(value))


@contextlib.contextmanager
def _open_pipeline(config: Path, output: Output) -> Iterator[Pipeline]:
    """Open the pipeline of a settings file; write Prometheus' file however the command ends."""
    with errors_as_json(output):
        pipeline = read_pipeline(config)
        try:
            yield pipeline
        finally:
            if pipeline.metrics_file is not None:
                write_prometheus(pipeline.registry, pipeline.metrics_file)


@contextlib.contextmanager
def _training(
    config: Path, output: Output, as_of: str | None, track: list[str] | None
) -> Iterator[tuple[Pipeline, date, tuple[Callback, ...]]]:
    """Open the pipeline of a settings file for training.

    Yields:
        The pipeline, the day, and the callbacks that training reports to.
    """
    with _open_pipeline(config, output) as pipeline:
        day = parse_day(as_of)
        targets = tuple(dict.fromkeys((*pipeline.train.track, *(track or ()))))
        with (
            TrainingProgress(output, "training") as progress,
            trackers(targets, f"weekly {day}", "pipeline") as tracked,
        ):
            yield pipeline, day, (progress, *tracked)
