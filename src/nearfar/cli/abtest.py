"""`nearfar abtest plan`, `check`, `analyse` and `simulate`."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from nearfar.abtest.aa import N_SPLITS, check_aa
from nearfar.abtest.analysis import AnalysisSettings
from nearfar.abtest.analysis import analyse as analyse_logs
from nearfar.abtest.assignment import Experiment, read_experiment
from nearfar.abtest.checks import Check, CheckSettings, check_logs
from nearfar.abtest.logs import Logs, parse_columns, read_logs
from nearfar.abtest.metrics import find_metrics
from nearfar.abtest.plan import make_plan
from nearfar.abtest.plan_settings import PlanSettings, parse_numbers
from nearfar.abtest.simulate import Simulation, write_simulation
from nearfar.abtest.sources import Query
from nearfar.abtest.units import days_without_arms
from nearfar.cli.options import Level, Seed, with_options
from nearfar.cli.output import Output
from nearfar.core.errors import EmptyDataError, SettingsError
from nearfar.core.extras import require
from nearfar.evaluation.intervals import N_RESAMPLES

app = typer.Typer(
    name="abtest",
    help="Plan, check and analyse an online A/B test.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Exposures = Annotated[
    str,
    typer.Option(
        "--exposures",
        help="Exposures, who saw a card: a Parquet file or folder with columns user, "
        "timestamp, arm, and optionally card, views, served. With --database: a table "
        "or a SELECT.",
    ),
]
Clicks = Annotated[
    str,
    typer.Option(
        "--clicks",
        help="Clicks: a Parquet file or folder with columns user, timestamp, and optionally "
        "card, play_seconds. With --database: a table or a SELECT.",
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        help="SQLAlchemy URL from which both logs are read; ${NAME} in it is an environment "
        "variable.",
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="A column's name in your logs, such as user=customer_id; may be given several times.",
    ),
]
ExperimentFile = Annotated[
    Path,
    typer.Option("--experiment", help="A TOML file with name, arms, weights, salt, start and end."),
]
Metrics = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        help="Metrics, comma-separated: clicks_per_view, clicks_per_user_view, "
        "clicks_per_user, play_seconds_per_user. [all]",
    ),
]


def _read(
    exposures: str, clicks: str, database: str | None, columns: list[str] | None, output: Output
) -> Logs:
    output.remark("reading the logs ...")
    names = parse_columns(columns or [])
    if database is None:
        logs = read_logs(exposures, clicks, names)
    else:
        logs = read_logs(Query(database, exposures), Query(database, clicks), names)
    for remark in logs.remarks:
        output.remark(remark)
    return logs


@app.command("plan")
@with_options()
def plan(
    exposures: Exposures,
    clicks: Clicks,
    database: Database = None,
    column: Columns = None,
    uplift: Annotated[
        float | None,
        typer.Option("--uplift", help="The relative uplift to detect, such as 0.05 for 5 %."),
    ] = None,
    days: Annotated[
        str,
        typer.Option(
            "--days",
            help="Test lengths, in days, for which to compute the smallest detectable uplift.",
        ),
    ] = "7,14,21,28",
    users: Annotated[
        int | None,
        typer.Option("--users", help="Number of users in all arms together, instead of the log's."),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            "--weights", help="Relative sizes of the arms, such as 1,1 or 90,10; the control first."
        ),
    ] = "1,1",
    alpha: Annotated[
        float,
        typer.Option(
            "--alpha",
            help="Significance level: probability of finding a difference when there is none.",
        ),
    ] = 0.05,
    power: Annotated[
        float, typer.Option("--power", help="Probability of detecting the uplift if it exists.")
    ] = 0.8,
    metrics: Metrics = None,
    *,
    output: Output,
) -> None:
    """Plan a test: compute users, days or the smallest detectable uplift from the others.

    The logs are of past days without a test. A test of d days is assumed to have the users of
    the last d days, as active as they were then.
    """
    require("tea_tasting", extra="abtest", purpose="an A/B test")
    settings = PlanSettings(
        find_metrics(metrics), parse_numbers(weights, "weights"), uplift,
        parse_numbers(days, "days"), users, alpha, power,
    )  # fmt: skip
    result = make_plan(_read(exposures, clicks, database, column, output), settings)
    output.result(result.to_dict(), str(result.table()))


@app.command("check")
@with_options()
def check(
    experiment: ExperimentFile,
    exposures: Exposures,
    clicks: Clicks,
    database: Database = None,
    column: Columns = None,
    max_share: Annotated[
        float,
        typer.Option(
            "--max-share", help="Tolerated share of users in a wrong arm or in several arms."
        ),
    ] = CheckSettings.max_share,
    max_orphan_share: Annotated[
        float,
        typer.Option("--max-orphan-share", help="Tolerated share of clicks without exposure."),
    ] = CheckSettings.max_orphan_share,
    alpha: Annotated[
        float, typer.Option("--alpha", help="A check fails if its p-value is below this.")
    ] = CheckSettings.alpha,
    splits: Annotated[
        int,
        typer.Option(
            "--splits", help="Number of random splits of the A/A test; 0 for none.", min=0
        ),
    ] = N_SPLITS,
    metrics: Metrics = None,
    seed: Seed = 0,
    *,
    output: Output,
) -> None:
    """Check whether the test is valid; exit code 1 if it is not.

    Checks sizes of arms (sample-ratio mismatch), users in several arms or in another arm than
    their id implies, recommendations of another arm, clicks without exposure, and an A/A test on
    the days before the start (without such days, on those of the test itself).
    """
    require("tea_tasting", extra="abtest", purpose="an A/B test")
    chosen_metrics = find_metrics(metrics)
    test = read_experiment(experiment)
    logs = _read(exposures, clicks, database, column, output)
    settings = CheckSettings(alpha, max_share, max_orphan_share)
    checks = [*check_logs(logs, test, settings)]
    if splits:
        output.remark(f"{splits} random splits ...")
        with output.counting("A/A test", "splits") as show_count:
            try:
                aa_check = check_aa(
                    days_without_arms(logs, test), chosen_metrics,
                    weights=(test.weights[0], min(test.weights[1:])), n_splits=splits, alpha=alpha,
                    seed=seed, on_split=lambda split, n_splits: show_count(split),
                )  # fmt: skip
            except EmptyDataError as error:
                aa_check = Check("a_a", None, f"not checked: {error}")
        checks.append(aa_check)
    passed = all(each.passed is not False for each in checks)
    marks = {True: "good", False: "BAD ", None: "-   "}
    output.result(
        {"experiment": test.name, "passed": passed, "checks": [each.to_dict() for each in checks]},
        "\n".join(f"{marks[each.passed]}  {each.message}" for each in checks),
    )
    if not passed:
        raise typer.Exit(1)


@app.command("analyse")
@with_options()
def analyse(
    experiment: ExperimentFile,
    exposures: Exposures,
    clicks: Clicks,
    database: Database = None,
    column: Columns = None,
    level: Level = 0.95,
    daily: Annotated[
        float | None,
        typer.Option(
            "--daily",
            help="Make intervals and p-values valid for daily looks. The value is the expected "
            "uplift, such as 0.05; give the same one every day.",
        ),
    ] = None,
    cuped: Annotated[
        bool,
        typer.Option(
            help="Reduce variance with the users' activity before the start (CUPED), if the logs"
            " contain it."
        ),
    ] = True,
    by_card: Annotated[bool, typer.Option(help="Also analyse every card separately.")] = True,
    resamples: Annotated[
        int, typer.Option("--resamples", help="Number of bootstrap samples; 0 for none.", min=0)
    ] = N_RESAMPLES,
    metrics: Metrics = None,
    seed: Seed = 0,
    *,
    output: Output,
) -> None:
    """Analyse the test: uplift of every metric with intervals and corrected p-values.

    Run `nearfar abtest check` first: if it fails, these numbers mean nothing. Warnings report a
    test that is not over, sizes of arms that chance does not explain, and, if the experiment has
    a salt, users in another arm than their id implies.
    """
    require("tea_tasting", extra="abtest", purpose="an A/B test")
    settings = AnalysisSettings(
        find_metrics(metrics), level, cuped, by_card, resamples, daily, seed
    )
    test = read_experiment(experiment)
    logs = _read(exposures, clicks, database, column, output)
    analysis = analyse_logs(logs, test, settings, on_step=output.remark)
    users = ", ".join(f"{arm} {n:,} users" for arm, n in analysis.n_users.items())
    warnings = [f"warning: {warning}" for warning in analysis.warnings]
    output.result(
        analysis.to_dict(), users, *warnings, str(analysis.table()), "",
        "\n".join(analysis.sentences),
    )  # fmt: skip


@app.command("simulate")
@with_options()
def simulate(
    out: Annotated[
        Path, typer.Option("--out", help="Folder for exposures, clicks and experiment.toml.")
    ],
    users: Annotated[int, typer.Option("--users", help="Number of users.", min=1)] = (
        Simulation.n_users
    ),
    days: Annotated[
        int, typer.Option("--days", help="Length of the experiment, in days.", min=1)
    ] = (Simulation.days),
    pre_days: Annotated[
        int,
        typer.Option("--pre-days", help="Number of days in the logs before the experiment.", min=0),
    ] = (Simulation.pre_days),
    uplift: Annotated[
        float, typer.Option("--uplift", help="The true relative uplift of the click probability.")
    ] = Simulation.uplift,
    start: Annotated[
        str, typer.Option("--start", help="The first day of the experiment.")
    ] = Simulation.start.isoformat(),
    seed: Seed = 0,
    *,
    output: Output,
) -> None:
    """Write synthetic logs with a known uplift, to try the other commands."""
    try:
        first = date.fromisoformat(start)
    except ValueError:
        raise SettingsError(f"start is {start!r}; a day such as 2025-09-01 was expected") from None
    simulation = Simulation(users, days, pre_days, uplift, start=first, seed=seed)
    paths = [str(p) for p in write_simulation(simulation, Experiment("simulated"), out)]
    output.result({"files": paths, "uplift": uplift}, *paths)
