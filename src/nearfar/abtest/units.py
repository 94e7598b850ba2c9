"""The users of an experiment, one row per user: arm, sums during it, sums before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl
from jaxtyping import Float64

from nearfar.abtest.assignment import Experiment
from nearfar.abtest.logs import Logs
from nearfar.abtest.metrics import SUMS, UpliftMetric
from nearfar.core.errors import DataError, EmptyDataError, SchemaError

PRE = "pre_"
"""Prefix of the name of a sum over the days before the experiment."""


@dataclass(frozen=True, eq=False)
class Units:
    """The users who saw a card during the experiment.

    Args:
        experiment: the experiment.
        frame: columns user, arm, the available sums, and with the prefix "pre_" the sums before
            the start if the logs contain them.
        first_day: first day that counts.
        last_day: last day that counts; earlier than the experiment's end if the logs end earlier.
        n_mixed: number of users left out because they were in several arms.
    """

    experiment: Experiment
    frame: pl.DataFrame
    first_day: date
    last_day: date
    n_mixed: int = 0

    @property
    def n_days(self) -> int:
        """The number of days that count."""
        return (self.last_day - self.first_day).days + 1

    @property
    def n_planned_days(self) -> int | None:
        """The planned length of the experiment in days; None if it has no end."""
        end = self.experiment.end
        return None if end is None else (end - self.first_day).days + 1

    @property
    def sums(self) -> tuple[str, ...]:
        """The names of the available sums, those before the start last."""
        return known_sums(self.frame)

    @property
    def has_pre(self) -> bool:
        """Whether there are sums from before the start."""
        return any(s.startswith(PRE) for s in self.sums)

    def has(self, metric: UpliftMetric) -> bool:
        """Return whether the sums of a metric are available."""
        return all(s in self.frame.columns for s in metric.sums)

    def values(self, arm: str) -> Float64[np.ndarray, "users sums"]:
        """Return the sums of an arm's users, with the columns of `sums`."""
        return sums_of(self.frame.filter(pl.col("arm") == arm))


def make_units(logs: Logs, experiment: Experiment, card: str | None = None) -> Units:
    """Return the users of an experiment, from its logs.

    A user counts from the first day with an exposure on. Earlier clicks and clicks of users
    without an exposure do not count. Users exposed in several arms are left out. Days before the
    start, if the logs have them, give the sums before it; their arms are ignored.

    Args:
        logs: exposures and clicks.
        experiment: the arms and the window of days.
        card: use only this card; None for all cards together.

    Raises:
        SchemaError: the exposures have no arms.
        DataError: an exposure has no arm, or one that the experiment does not have.
        EmptyDataError: an arm has fewer than two users.
    """
    first, last = window(logs, experiment)
    within = logs.between(first, last)
    arms = arms_of_users(within.exposures, experiment)
    before = logs.between(None, first - timedelta(days=1))
    if card is not None:
        within, before = within.of_card(card), before.of_card(card)
    users = user_sums(within, before).join(
        arms.filter(pl.col("n_arms") == 1).select("user", "arm"), on="user", maintain_order="left"
    )
    for arm in experiment.arms:
        n_users = users.filter(pl.col("arm") == arm).height
        if n_users < 2:
            where = f" of card {card!r}" if card is not None else ""
            raise EmptyDataError(
                f"arm {arm!r} has {n_users} users{where} from {first} to {last}; two or more are "
                "needed to compare it"
            )
    last = min(last, logs.last_event_day)
    return Units(experiment, users, first, last, arms.filter(pl.col("n_arms") > 1).height)


def window(logs: Logs, experiment: Experiment) -> tuple[date, date]:
    """Return the first and the last day that count.

    Raises:
        EmptyDataError: the logs have no exposure in the experiment's window.
    """
    first = experiment.start or logs.first_day
    last = experiment.end or logs.last_day
    if logs.between(first, last).exposures.is_empty():
        raise EmptyDataError(
            f"exposures are from {logs.first_day} to {logs.last_day}, the experiment runs from "
            f"{first} to {last}; they have no day in common"
        )
    return first, last


def days_without_arms(logs: Logs, experiment: Experiment) -> Logs:
    """Return the days before the experiment; those of the experiment if there are none before."""
    first, last = window(logs, experiment)
    before = logs.between(None, first - timedelta(days=1))
    return logs.between(first, last) if before.exposures.is_empty() else before


def arms_of_users(exposures: pl.DataFrame, experiment: Experiment) -> pl.DataFrame:
    """Return the first arm of every user and the number of arms: columns user, arm, n_arms.

    Raises:
        SchemaError: the exposures have no arms.
        DataError: an exposure has no arm, or one that the experiment does not have.
    """
    if "arm" not in exposures.columns:
        raise SchemaError(
            "the exposures have no column 'arm', the user's arm at each view; name the one that "
            "has it with --column arm=NAME (in Python: columns={'arm': 'NAME'})"
        )
    if n := exposures["arm"].null_count():
        raise DataError(
            f"{n:,} exposures (summed by user and day) while the experiment ran have no arm; if "
            "they are from before it, give its start"
        )
    if unknown := sorted(set(exposures["arm"].unique().to_list()) - set(experiment.arms)):
        raise DataError(
            f"exposures are of arm {unknown[0]!r}; experiment {experiment.name!r} has "
            f"{', '.join(experiment.arms)}"
        )
    return (
        exposures.group_by("user")
        .agg(pl.col("arm").n_unique().alias("n_arms"), pl.col("arm").min())
        .sort("user")
    )


def user_sums(within: Logs, before: Logs | None = None) -> pl.DataFrame:
    """Return one row per user with an exposure in `within`: the sums in `within` and `before`.

    Clicks count from the day of the first exposure on. Rows are sorted by user.
    """
    users = _exposure_sums(within.exposures)
    counted = within.clicks.join(
        users.select("user", "first_day"), on="user", maintain_order="left"
    ).filter(pl.col("day") >= pl.col("first_day"))
    users = users.drop("first_day").join(_click_sums(counted), on="user", how="left")
    if before is not None and len(before.exposures) + len(before.clicks):
        for part in (
            _exposure_sums(before.exposures).drop("first_day"),
            _click_sums(before.clicks),
        ):
            renamed = part.rename({c: PRE + c for c in part.columns if c != "user"})
            users = users.join(renamed, on="user", how="left")
    return users.with_columns(pl.col(known_sums(users)).fill_null(0)).sort("user")


def known_sums(users: pl.DataFrame) -> tuple[str, ...]:
    """Return the names of the sums among the columns, those before the start last."""
    return tuple(s for s in (*SUMS, *(PRE + s for s in SUMS)) if s in users.columns)


def sums_of(users: pl.DataFrame) -> Float64[np.ndarray, "users sums"]:
    """Return the sums of users, with the columns of `known_sums`."""
    return users.select(known_sums(users)).cast(pl.Float64).to_numpy()


def _exposure_sums(exposures: pl.DataFrame) -> pl.DataFrame:
    return exposures.group_by("user").agg(
        pl.col("day").min().alias("first_day"),
        pl.col("views").sum(),
        pl.col("day").n_unique().cast(pl.Int64).alias("user_days"),
    )


def _click_sums(clicks: pl.DataFrame) -> pl.DataFrame:
    sums = [c for c in ("clicks", "play_seconds") if c in clicks.columns]
    return clicks.group_by("user", maintain_order=True).agg(pl.col(sums).sum())
