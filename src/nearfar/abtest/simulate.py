"""Simulate logs with a known uplift, to try commands and to test the statistics."""

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
"""Relative activity from Monday to Sunday."""

PLAY_SHAPE, PLAY_SCALE = 0.5, 2400.0
"""The gamma distribution of seconds played per click: most stop soon, the mean is 1,200."""


@dataclass(frozen=True)
class Simulation:
    """A simulation of users who see and click cards, before and during an experiment.

    Activity and click rate vary between users, both log-normal, and stay constant over time, so
    the days before predict those during the experiment. Views per day are Poisson, clicks are
    binomial. In all arms but the control, clicks are `1 + uplift` times as likely; nothing else
    differs, so the true relative uplift of every metric is `uplift`.

    Args:
        n_users: number of users; those without a view are in no log.
        days: length of the experiment.
        pre_days: days before the experiment.
        uplift: relative uplift of the click probability, above -1.
        cards: the cards; each has half the views of the one before.
        views: mean views of the first card per user and day.
        click_rate: mean probability that a view is clicked.
        activity_spread: standard deviation of the logarithm of activity; with 1 the most active
            tenth of the users has about 39 % of the views.
        taste_spread: standard deviation of the logarithm of the click probability.
        start: first day of the experiment.
        seed: random seed.

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
                f"n_users {self.n_users}, days {self.days}, pre_days {self.pre_days} and "
                f"{len(self.cards)} cards; expected one or more of each, and pre_days of 0 or more"
            )
        if not (self.uplift > -1 and self.views > 0 and 0 < self.click_rate < 1):
            raise SettingsError(
                f"uplift {self.uplift}, views {self.views}, click_rate {self.click_rate}; expected "
                "an uplift above -1, views above 0 and a click_rate between 0 and 1"
            )


@dataclass(frozen=True, eq=False)
class SimulatedUsers:
    """The simulated views and clicks.

    Args:
        views: views of each card on each day, from the first day before the experiment on.
        clicks: clicks on each card on each day.
    """

    views: Int64[np.ndarray, "users days cards"]
    clicks: Int64[np.ndarray, "users days cards"]


def draw_users(
    simulation: Simulation, treated: Bool[np.ndarray, " users"], rng: np.random.Generator
) -> SimulatedUsers:
    """Draw views and clicks of users; those with `treated` get the uplift."""
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
    """Draw the users' sums over all cards, during and before the experiment, with their names.

    A user without a view during the experiment has a row too, with 0 views.
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
    """Simulate exposures and clicks for `read_logs`, with arms by the experiment's hash.

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
    exposure_rows = _rows(drawn.views, users, simulation, first)
    exposures = exposure_rows.with_columns(
        pl.when(pl.col("day") >= simulation.start)
        .then(arms.gather(exposure_rows["place"]))
        .otherwise(None)
        .alias("arm"),
        pl.col("n").alias("views"),
    )
    click_rows = _rows(drawn.clicks, users, simulation, first)
    click_rows = click_rows[np.repeat(np.arange(click_rows.height), click_rows["n"].to_numpy())]
    played = rng.gamma(PLAY_SHAPE, size=click_rows.height) * PLAY_SCALE
    clicks = click_rows.with_columns(play_seconds=pl.Series(played.round(1)))
    return (
        _with_times(exposures, rng).select("user", "arm", "timestamp", "card", "views"),
        _with_times(clicks, rng).select("user", "timestamp", "card", "play_seconds"),
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
    """Draw log-normal numbers with mean 1."""
    return np.exp(rng.normal(-(spread**2) / 2, spread, size=n))


def _rows(
    counts: Int64[np.ndarray, "users days cards"],
    users: pl.Series,
    simulation: Simulation,
    first: date,
) -> pl.DataFrame:
    """Return one row per count above 0."""
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


def _with_times(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Give each row a random time of its day, and sort by time."""
    seconds = pl.lit(pl.Series("second", rng.integers(0, 86_400, size=frame.height)))
    return frame.with_columns(
        timestamp=pl.col("day").cast(pl.Datetime("us")) + pl.duration(seconds=seconds)
    ).sort("timestamp", maintain_order=True)
