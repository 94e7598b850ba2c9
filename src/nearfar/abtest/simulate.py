"""Made-up logs with a known uplift: for trying commands, and for tests of the statistics."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64, Int64

from nearfar.abtest.assignment import Experiment
from nearfar.abtest.metrics import SUMS
from nearfar.abtest.units import PRE
from nearfar.core.errors import ArtefactError, SettingsError
from nearfar.core.files import atomic_file
from nearfar.core.seeding import generator

DAY_OF_WEEK = np.array([0.8, 0.8, 0.85, 0.9, 1.15, 1.3, 1.2])
"""How active users are from Monday to Sunday."""

PLAY_SHAPE, PLAY_SCALE = 0.5, 2400.0
"""Of the gamma distribution of seconds that a click plays: most stop soon, the mean is 1,200."""


@dataclass(frozen=True)
class Simulation:
    """Users who see cards and click on them, before and during an experiment.

    Users differ in how active they are and in how often they click, both log-normal, and stay as
    they are: the days before tell of those during the experiment. Views of a day are Poisson,
    clicks binomial. In all arms but the control clicks are `1 + uplift` times as likely; nothing
    else differs, so that the true relative uplift of every metric is `uplift`.

    Args:
        n_users: how many users there are; those without a view are in no log.
        days: length of the experiment.
        pre_days: days before it.
        uplift: the relative uplift of the chance of a click, above -1.
        cards: the cards, every one shown half as often as the one before.
        views: mean views of the first card by a user and day.
        click_rate: mean chance that a view is clicked.
        activity_spread: standard deviation of the logarithm of activity; with 1 the most active
            tenth of the users has about 39 % of the views.
        taste_spread: standard deviation of the logarithm of the chance of a click.
        start: the first day of the experiment.
        seed: of everything random.

    Examples:
        >>> from nearfar.abtest.simulate import Simulation
        >>> Simulation(n_users=1000, uplift=0.05).days
        14
    """

    n_users: int = 10_000
    days: int = 14
    pre_days: int = 14
    uplift: float = 0.1
    cards: tuple[str, ...] = ("home", "movie")
    views: float = 0.5
    click_rate: float = 0.05
    activity_spread: float = 1.0
    taste_spread: float = 0.5
    start: date = date(2025, 9, 1)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_users < 1 or self.days < 1 or self.pre_days < 0 or not self.cards:
            raise SettingsError(
                f"{self.n_users} users, {self.days} days after {self.pre_days}, {len(self.cards)} "
                "cards; one or more of each was expected"
            )
        if not (self.uplift > -1 and self.views > 0 and 0 < self.click_rate < 1):
            raise SettingsError(
                f"uplift {self.uplift}, views {self.views}, click_rate {self.click_rate}; an "
                "uplift above -1, views above 0 and a rate between 0 and 1 were expected"
            )


@dataclass(frozen=True, eq=False)
class SimulatedUsers:
    """What users saw and did.

    Args:
        views: of each card on each day, those before the experiment first.
        clicks: likewise.
    """

    views: Int64[np.ndarray, "users days cards"]
    clicks: Int64[np.ndarray, "users days cards"]


def draw_users(
    simulation: Simulation, treated: Bool[np.ndarray, " users"], rng: np.random.Generator
) -> SimulatedUsers:
    """Views and clicks of as many users as `treated` has; these get the uplift."""
    n, n_days = len(treated), simulation.pre_days + simulation.days
    activity = _log_normal(rng, simulation.activity_spread, n) * simulation.views
    weekday = (simulation.start.weekday() - simulation.pre_days + np.arange(n_days)) % 7
    prominence = 0.5 ** np.arange(len(simulation.cards))
    views = rng.poisson(
        activity[:, None, None] * DAY_OF_WEEK[weekday][:, None] * prominence
    ).astype(np.int64)
    chance = _log_normal(rng, simulation.taste_spread, n) * simulation.click_rate
    chance = np.minimum(chance, 1 / max(1.0, 1 + simulation.uplift))
    during = np.arange(n_days) >= simulation.pre_days
    factor = 1 + simulation.uplift * (treated[:, None] & during)
    clicks = rng.binomial(views, (chance[:, None] * factor)[:, :, None])
    return SimulatedUsers(views, clicks.astype(np.int64))


def simulated_sums(
    simulation: Simulation, treated: Bool[np.ndarray, " users"], rng: np.random.Generator
) -> tuple[tuple[str, ...], Float64[np.ndarray, "users sums"]]:
    """The sums of users over all cards, with those before the experiment, and their names.

    A user without a view during the experiment has a row of which no view is.
    """
    drawn = draw_users(simulation, treated, rng)
    names, columns = [], []
    parts = {"": slice(simulation.pre_days, None), PRE: slice(0, simulation.pre_days)}
    for prefix, days in parts.items():
        views, clicks = drawn.views[:, days], drawn.clicks[:, days].sum(axis=(1, 2))
        names += [prefix + name for name in SUMS]
        columns += [
            views.sum(axis=(1, 2)), (views.sum(axis=2) > 0).sum(axis=1), clicks,
            rng.gamma(PLAY_SHAPE * clicks) * PLAY_SCALE,
        ]  # fmt: skip
    return tuple(names), np.stack(columns, axis=1).astype(np.float64)


def simulate_logs(
    simulation: Simulation, experiment: Experiment
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Exposures and clicks as `read_logs` takes them; arms by the experiment's hash.

    Examples:
        >>> from nearfar.abtest.assignment import Experiment
        >>> from nearfar.abtest.logs import read_logs
        >>> from nearfar.abtest.simulate import Simulation, simulate_logs
        >>> simulation = Simulation(n_users=500, days=4, pre_days=4)
        >>> experiment = Experiment("home", salt="s", start=simulation.start)
        >>> logs = read_logs(*simulate_logs(simulation, experiment))
        >>> logs.exposures.height > 500
        True
    """
    users = pl.Series("user", np.arange(1, simulation.n_users + 1))
    arms = experiment.arms_of(users)
    treated = (arms != experiment.control).to_numpy()
    rng = generator(simulation.seed, "abtest simulation")
    drawn = draw_users(simulation, treated, rng)
    first = simulation.start - timedelta(days=simulation.pre_days)
    seen = _rows(drawn.views, users, simulation, first)
    exposures = seen.with_columns(
        pl.when(pl.col("day") >= simulation.start)
        .then(arms.gather(seen["place"]))
        .otherwise(None)
        .alias("arm"),
        pl.col("n").alias("views"),
    )
    done = _rows(drawn.clicks, users, simulation, first)
    done = done[np.repeat(np.arange(done.height), done["n"].to_numpy())]
    played = rng.gamma(PLAY_SHAPE, size=done.height) * PLAY_SCALE
    clicks = done.with_columns(play_seconds=pl.Series(played.round(1)))
    return (
        _timed(exposures, rng).select("user", "arm", "timestamp", "card", "views"),
        _timed(clicks, rng).select("user", "timestamp", "card", "play_seconds"),
    )


def write_simulation(simulation: Simulation, experiment: Experiment, folder: Path) -> list[Path]:
    """Write exposures.parquet, clicks.parquet and experiment.toml into a folder.

    Raises:
        ArtefactError: the folder has one of these files already.
    """
    paths = [folder / n for n in ("exposures.parquet", "clicks.parquet", "experiment.toml")]
    for path in paths:
        if path.exists():
            raise ArtefactError(f"{path} exists; name another folder")
    for path, frame in zip(paths, simulate_logs(simulation, experiment), strict=False):
        with atomic_file(path) as file:
            frame.write_parquet(file)
    end = simulation.start + timedelta(days=simulation.days - 1)
    lines = [
        f"name = {json.dumps(experiment.name, ensure_ascii=False)}",
        f"arms = {json.dumps(experiment.arms, ensure_ascii=False)}",
        f"weights = {list(experiment.weights)}",
        f"salt = {json.dumps(experiment.salt, ensure_ascii=False)}",
        f"start = {simulation.start}",
        f"end = {end}",
    ]
    with atomic_file(paths[-1], text=True) as file:
        file.write("\n".join(lines) + "\n")
    return paths


def _log_normal(rng: np.random.Generator, spread: float, n: int) -> Float64[np.ndarray, " n"]:
    """Numbers with mean 1."""
    return np.exp(rng.normal(-(spread**2) / 2, spread, size=n))


def _rows(
    counts: Int64[np.ndarray, "users days cards"],
    users: pl.Series,
    simulation: Simulation,
    first: date,
) -> pl.DataFrame:
    """A row a count above 0."""
    user, day, card = np.nonzero(counts)
    return pl.DataFrame(
        {
            "place": user,
            "user": users.gather(pl.Series(user)),
            "day": day,
            "card": pl.Series(list(simulation.cards)).gather(pl.Series(card)),
            "n": counts[user, day, card],
        }
    ).with_columns(day=pl.lit(first) + pl.duration(days=pl.col("day")))


def _timed(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Rows at a moment of their day, in the order of moments."""
    seconds = pl.lit(pl.Series("second", rng.integers(0, 86_400, size=frame.height)))
    return frame.with_columns(
        timestamp=pl.col("day").cast(pl.Datetime("us")) + pl.duration(seconds=seconds)
    ).sort("timestamp", maintain_order=True)
