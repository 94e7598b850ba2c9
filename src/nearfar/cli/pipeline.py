"""`nearfar pipeline`: the production system's jobs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from nearfar.cli.exit_codes import REFUSED
from nearfar.cli.output import Debug, Json, Output, Quiet, table
from nearfar.cli.progress import TrainingProgress
from nearfar.core.errors import ArtefactError, SettingsError
from nearfar.core.files import atomic_file
from nearfar.jobs.due import Done, run_due, yesterday
from nearfar.jobs.example import write_shop
from nearfar.jobs.pipeline import Pipeline, read_pipeline
from nearfar.jobs.publish import publish as publish_version
from nearfar.jobs.publish import rollback as roll_back
from nearfar.jobs.score_daily import Scored, score_daily
from nearfar.jobs.status import status as status_of
from nearfar.jobs.status import write_prometheus
from nearfar.jobs.template import TEMPLATE
from nearfar.jobs.train_weekly import Trained, train_weekly
from nearfar.jobs.work import HERE, Work

app = typer.Typer(
    name="pipeline",
    help="Train weekly, publish, score daily: the production system.\n\n"
    "A run goes: init, edit the file, run (every day, by a scheduler). Exit code 4: the gates "
    "refused the candidate, and the version that was current still is.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Config = Annotated[Path, typer.Option("--config", "-c", help="The pipeline's TOML file.")]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="DATE", help="The last day of events; by default yesterday."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N",
        help="Share the work among N processes, by Ray; needs nearfar[cluster].",
    ),
]  # fmt: skip
Ray = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Of the Ray cluster to work on, as auto."),
]
DEFAULT = Path("pipeline.toml")


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = DEFAULT,
    example: Annotated[
        bool,
        typer.Option("--example", help="Also 14 weeks of a made-up shop's events beside it."),
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write commented settings to start from."""
    output = Output(as_json=as_json, quiet=quiet)
    events = path.parent / "events"
    for made in (path, events) if example else (path,):
        if made.exists():
            raise ArtefactError(f"{made} exists; name another file")
    path.parent.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {"path": str(path)}
    say = f"say in it where events come from, then: nearfar pipeline run -c {path}"
    if example:
        first, last = write_shop(events)
        told |= {"events": str(events), "first_day": str(first), "last_day": str(last)}
        say = (
            f"events of a made-up shop, {first} to {last}, are in {events}; "
            f"then: nearfar pipeline run -c {path} --as-of {last}"
        )
    with atomic_file(path, text=True) as file:
        file.write(TEMPLATE)
    output.result(told, f"{path} is written; {say}")


@app.command()
def train(
    config: Config = DEFAULT,
    as_of: AsOf = None,
    workers: Workers = None,
    ray: Ray = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a candidate on the window up to a day, judge it, register it; publishes nothing."""
    output, pipeline = Output(as_json=as_json, quiet=quiet), read_pipeline(config)
    with _measured(pipeline), TrainingProgress(output, "training") as reporter:
        found = train_weekly(
            pipeline, _day(as_of), say=output.remark, reporter=reporter,
            work=_work(pipeline, workers, ray),
        )  # fmt: skip
    output.result(_of_training(found), *_gates(found))
    if not found.passed:
        raise typer.Exit(REFUSED)


@app.command()
def publish(
    version: Annotated[
        str | None, typer.Argument(help="By default the newest that passed the gates.")
    ] = None,
    config: Config = DEFAULT,
    force: Annotated[bool, typer.Option("--force", help="Also what the gates refused.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make a version current, at once for all who follow the pointer."""
    output, pipeline = Output(as_json=as_json, quiet=quiet), read_pipeline(config)
    with _measured(pipeline):
        found = publish_version(pipeline.registry, version, force=force)
    output.result({"current": found.name}, f"{found.name} is current")


@app.command()
def rollback(
    config: Config = DEFAULT, as_json: Json = False, quiet: Quiet = False, debug: Debug = False
) -> None:
    """Make the version current that was before."""
    output, pipeline = Output(as_json=as_json, quiet=quiet), read_pipeline(config)
    with _measured(pipeline):
        found = roll_back(pipeline.registry)
    output.result({"current": found.name}, f"{found.name} is current again")


@app.command()
def score(
    config: Config = DEFAULT,
    as_of: AsOf = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also a day that is published already.")
    ] = False,
    workers: Workers = None,
    ray: Ray = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Recommend to all who were active in the days up to a day, by the current version."""
    output, pipeline = Output(as_json=as_json, quiet=quiet), read_pipeline(config)
    with _measured(pipeline), output.counting("scoring", "users") as tell:
        found = score_daily(
            pipeline, _day(as_of), again=again, say=output.remark,
            on_users=lambda done, _: tell(done), work=_work(pipeline, workers, ray),
        )  # fmt: skip
    output.result(dict(vars(found)), _told(found))


def _work(pipeline: Pipeline, workers: int | None, address: str | None) -> Work:
    """This process, or workers on one machine or a cluster."""
    if workers is None and address is None:
        return HERE
    from nearfar.cluster import requirements

    requirements.check_installed()
    from nearfar.cluster import work
    from nearfar.cluster.workers import Workers as Settings

    gpus = int(pipeline.train.device == "cuda")
    return work.OnWorkers(Settings(count=workers or 2, address=address, gpus=gpus))


@app.command()
def run(
    config: Config = DEFAULT,
    as_of: AsOf = None,
    workers: Workers = None,
    ray: Ray = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Do what is due: train if a week is over, publish what passed, score the day."""
    output, pipeline = Output(as_json=as_json, quiet=quiet), read_pipeline(config)
    with _measured(pipeline), TrainingProgress(output, "training") as reporter:
        found = run_due(
            pipeline, _day(as_of), say=output.remark, reporter=reporter,
            work=_work(pipeline, workers, ray),
        )  # fmt: skip
    output.result(_of_run(found), *_shown(found))
    if found.trained is not None and not found.trained.passed:
        raise typer.Exit(REFUSED)


@app.command()
def status(
    config: Config = DEFAULT, as_json: Json = False, quiet: Quiet = False, debug: Debug = False
) -> None:
    """Versions, gates, what is current and how old, and the last run of each job."""
    output, pipeline = Output(as_json=as_json, quiet=quiet), read_pipeline(config)
    found = status_of(pipeline.registry)
    rows = [
        [
            v["version"], "current" if v["current"] else "", "passed" if v["passed"] else "refused",
            *(f"{value:.4f}" for value in v["metrics"].values()), ", ".join(v["failed_gates"]),
        ]
        for v in found["versions"]
    ]  # fmt: skip
    names = list(found["versions"][-1]["metrics"]) if found["versions"] else []
    lines = [
        f"{job}: {event['outcome']} at {event['at']}"
        + (f" for {event['as_of']}" if event["as_of"] else "")
        + (f", {event['detail']['reason']}" if "reason" in event["detail"] else "")
        for job, event in found["last"].items()
    ]
    age = found["age_seconds"]
    current = (
        "nothing is published yet"
        if age is None
        else f"{found['current']} is current, {age / 86_400:.1f} days old"
    )
    lines += [f"a training of {day} is unfinished" for day in found["unfinished"]]
    output.result(
        found, table(None, ["version", "", "gates", *names, "refused by"], rows, left=3),
        "\n".join([current, *lines]),
    )  # fmt: skip


@contextlib.contextmanager
def _measured(pipeline: Pipeline) -> Iterator[None]:
    """Writes Prometheus' file when a job ends, however it ends."""
    try:
        yield
    finally:
        if pipeline.metrics_file is not None:
            write_prometheus(pipeline.registry, pipeline.metrics_file)


def _day(text: str | None) -> date:
    if text is None:
        return yesterday()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"--as-of is {text!r}; a date was expected, as 2026-08-01") from None


def _of_training(found: Trained) -> dict[str, Any]:
    return {
        "version": found.version.name, "passed": found.passed, "warm": found.warm,
        "seconds": found.seconds, "gates": [v.to_dict() for v in found.verdicts],
        "metrics": found.version.record["metrics"],
    }  # fmt: skip


def _of_run(found: Done) -> dict[str, Any]:
    return {
        "trained": None if found.trained is None else _of_training(found.trained),
        "published": found.published,
        "scored": dict(vars(found.scored)),
    }


def _gates(found: Trained) -> list[Any]:
    rows = [
        ["passed" if v.passed else "REFUSED", v.gate, v.told,
         "-" if v.value is None else f"{v.value:.3f}", f"{v.limit:g}"]
        for v in found.verdicts
    ]  # fmt: skip
    words = "passed" if found.passed else "was refused; the version that was current still is"
    return [
        table(found.version.name, ["", "gate", "", "measured", "limit"], rows, left=3),
        f"{found.version.name} {words}; {found.seconds:.0f} s",
    ]


def _shown(found: Done) -> list[Any]:
    parts = _gates(found.trained) if found.trained is not None else []
    if found.published is not None:
        parts.append(f"{found.published} is current")
    return [*parts, _told(found.scored)]


def _told(found: Scored) -> str:
    if found.already:
        return f"published already, by {found.version}"
    more = f"; {found.n_unknown:,} of them got what is popular" if found.n_unknown else ""
    return f"{found.n_users:,} users scored by {found.version} in {found.seconds:.0f} s{more}"
