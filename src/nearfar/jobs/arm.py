"""The users of one arm of an experiment, for a pipeline that scores no others."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from nearfar.abtest.assignment import Experiment, read_experiment
from nearfar.core.errors import SettingsError
from nearfar.jobs.pipeline import Daily


def experiment_of(daily: Daily) -> Experiment | None:
    """The experiment whose arm is scored, read anew; None where all users are.

    Raises:
        SettingsError: its file is missing or wrong, or it has no such arm.
    """
    if daily.experiment is None:
        return None
    found = read_experiment(Path(daily.experiment))
    if daily.arm not in found.arms:
        raise SettingsError(
            f"score.arm is {daily.arm!r}; experiment {found.name!r} has {', '.join(found.arms)}"
        )
    return found


def of_arm(daily: Daily, users: pl.Series) -> pl.Series:
    """Of these ids those in the arm that is scored, in their order; all without an experiment.

    Raises:
        SettingsError: as of `experiment_of`.
    """
    experiment = experiment_of(daily)
    if experiment is None:
        return users
    return users.filter(experiment.arms_of(users) == daily.arm)
