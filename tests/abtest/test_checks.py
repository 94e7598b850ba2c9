"""Checks fail where something is broken, and where nothing is as seldom as they say."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from nearfar.abtest.aa import check_aa
from nearfar.abtest.assignment import Experiment
from nearfar.abtest.checks import Check, CheckSettings, check_logs, sample_ratio_p
from nearfar.abtest.logs import Logs, read_logs
from nearfar.abtest.metrics import METRICS
from nearfar.abtest.simulate import Simulation, simulate_logs
from nearfar.abtest.units import days_without_arms
from nearfar.core.errors import EmptyDataError, SettingsError

SIMULATION = Simulation(n_users=3000, seed=2)
EXPERIMENT = Experiment("e", start=SIMULATION.start)


@pytest.fixture(scope="module")
def logs() -> Logs:
    seen, done = simulate_logs(SIMULATION, EXPERIMENT)
    return read_logs(seen.with_columns(served=pl.col("arm")), done)


def checks(logs: Logs, experiment: Experiment = EXPERIMENT) -> dict[str, Check]:
    return {c.name: c for c in check_logs(logs, experiment)}


def changed(logs: Logs, exposures: pl.DataFrame) -> Logs:
    return Logs(exposures, logs.clicks)


def test_sound_logs_pass(logs: Logs) -> None:
    found = checks(logs)
    assert len(found) == 5
    assert all(c.passed for c in found.values()), found
    json.dumps([c.to_dict() for c in found.values()], allow_nan=False)


def test_a_lost_tenth_of_an_arm_is_a_mismatch(logs: Logs) -> None:
    """Sizes alone tell it; the clicks that stay behind have no exposures any more."""
    seen = logs.exposures
    lost = (pl.col("arm") == "treatment") & (pl.col("user").cast(pl.Int64) % 6 == 0)
    found = checks(changed(logs, seen.filter(~lost | (pl.col("arm").is_null()))))
    assert not found["sample_ratio"].passed
    assert "not by chance (all cards" in found["sample_ratio"].message
    assert found["assignment"].passed
    assert found["one_arm_a_user"].passed
    assert not found["clicks_after_exposures"].passed


def test_a_card_that_loses_users_is_named(logs: Logs) -> None:
    lost = (
        (pl.col("card") == "movie")
        & (pl.col("arm") == "control")
        & (pl.col("user").cast(pl.Int64) % 3 == 0)
    )
    found = checks(changed(logs, logs.exposures.filter(~lost.fill_null(False))))["sample_ratio"]
    assert not found.passed
    assert "(card movie)" in found.message


def test_users_in_several_arms(logs: Logs) -> None:
    some = logs.exposures.filter(pl.col("day") >= SIMULATION.start).head(40)
    other = some.with_columns(
        arm=pl.when(pl.col("arm") == "control")
        .then(pl.lit("treatment"))
        .otherwise(pl.lit("control"))
    )
    found = checks(changed(logs, pl.concat([logs.exposures, other])))
    mixed = some["user"].n_unique()
    assert not found["one_arm_a_user"].passed
    assert found["one_arm_a_user"].numbers["n_users"] == mixed
    assert f"{mixed} of" in found["one_arm_a_user"].message
    assert not found["own_recommendations"].passed  # their cards were served by the first arm
    assert found["assignment"].passed  # who is in several arms is told of once


def test_arms_that_are_not_the_hashs(logs: Logs) -> None:
    found = checks(logs, replace(EXPERIMENT, salt="other"))["assignment"]
    assert not found.passed
    assert found.numbers["share"] == pytest.approx(0.5, abs=0.05)
    assert "name, salt, weights" in found.message
    assert "leave the salt out" in found.message
    unsalted = checks(logs, replace(EXPERIMENT, name="other"))["assignment"]
    assert unsalted.passed is None, "something else may have given the arms"


def test_another_arms_recommendations(logs: Logs) -> None:
    seen = logs.exposures
    leaked = (pl.col("user").cast(pl.Int64) < 50) & (pl.col("arm") == "treatment")
    served = pl.when(leaked).then(pl.lit("control")).otherwise(pl.col("served"))
    found = checks(changed(logs, seen.with_columns(served=served)))["own_recommendations"]
    assert not found.passed
    expected = seen.filter(leaked & (pl.col("day") >= SIMULATION.start))
    assert found.numbers["n_views"] == expected["views"].sum()
    assert found.numbers["n_users"] == expected["user"].n_unique()
    untold = checks(changed(logs, seen.drop("served")))["own_recommendations"]
    assert untold.passed is None
    assert "no column 'served'" in untold.message


def test_clicks_from_nowhere(logs: Logs) -> None:
    day = SIMULATION.start
    strange = logs.clicks.head(30).with_columns(
        user=pl.Series([f"stranger{i}" for i in range(30)]),
        day=pl.lit(day),
        clicks=pl.lit(2, pl.Int64),
    )
    found = checks(Logs(logs.exposures, pl.concat([logs.clicks, strange])))[
        "clicks_after_exposures"
    ]
    assert not found.passed
    assert found.numbers["n_clicks"] == found.numbers["n_of_strangers"] == 60
    assert found.numbers["by_arm"] == {"control": 0, "treatment": 0}
    known = logs.exposures.filter(pl.col("arm") == "treatment")["user"][0]
    late = logs.clicks.head(1).with_columns(
        user=pl.lit(known),
        day=pl.lit(logs.last_day),
        card=pl.lit("nowhere"),
        clicks=pl.lit(9, pl.Int64),
    )
    found = checks(Logs(logs.exposures, pl.concat([logs.clicks, late])))["clicks_after_exposures"]
    assert found.numbers["by_arm"] == {"control": 0, "treatment": 9}
    none = checks(Logs(logs.exposures, logs.clicks.clear()))["clicks_after_exposures"]
    assert none.passed is None


@pytest.mark.parametrize("weights", [(1, 1), (9, 1), (1, 1, 2)])
def test_mismatch_is_cried_as_seldom_as_said(weights: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    shares = np.array(weights) / sum(weights)
    p = np.array([sample_ratio_p(c, weights) for c in rng.multinomial(5000, shares, size=4000)])
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.012)
    assert (p < 0.001).mean() < 0.004
    # and a real mismatch of a tenth of an arm is hardly ever missed
    lost = shares * np.array([0.9, *[1] * (len(weights) - 1)])
    p = [sample_ratio_p(c, weights) for c in rng.multinomial(50_000, lost / lost.sum(), size=200)]
    assert np.mean(np.array(p) < 0.001) > 0.9


def test_few_users_are_counted_exactly() -> None:
    assert sample_ratio_p([3, 0], [1, 1]) == pytest.approx(0.25)
    assert sample_ratio_p([500, 500], [1, 1]) == 1
    assert sample_ratio_p([0, 0], [1, 1]) == 1
    assert sample_ratio_p([0, 0, 0], [1, 2, 3]) == 1


def test_settings_are_checked() -> None:
    with pytest.raises(SettingsError, match="max_share is 1"):
        CheckSettings(max_share=1.0)


def test_random_splits_of_history_do_not_differ(logs: Logs) -> None:
    history = days_without_arms(logs, EXPERIMENT)
    assert history.last_day < SIMULATION.start
    told = []
    found = check_aa(history, n_splits=100, seed=1, on_split=lambda *n: told.append(n))
    assert found.passed, found
    assert told[-1] == (100, 100)
    assert set(found.numbers["metrics"]) == {m.name for m in METRICS}
    for one in found.numbers["metrics"].values():
        assert one["below_05"] < 0.15
    assert check_aa(history, n_splits=100, seed=1) == found


def test_one_user_with_half_of_the_clicks_fails_the_a_a_test() -> None:
    """One value that decides alone makes p-values anything but uniform."""
    rng = np.random.default_rng(0)
    n = 200
    day = SIMULATION.start
    seen = pl.DataFrame({"user": [str(i) for i in range(n)], "day": [day] * n, "views": [10] * n})
    clicks = rng.poisson(0.2, n)
    clicks[0] = 100_000
    done = pl.DataFrame({"user": seen["user"], "day": seen["day"], "clicks": clicks})
    found = check_aa(Logs(seen, done), METRICS[2:3], n_splits=100)
    assert not found.passed
    fine = Logs(seen, done.with_columns(clicks=pl.Series(rng.poisson(2.0, n))))
    assert check_aa(fine, METRICS[2:3], n_splits=100).passed


def test_a_a_needs_users_and_clicks(logs: Logs) -> None:
    with pytest.raises(SettingsError, match="take 20 or more"):
        check_aa(logs, n_splits=5)
    with pytest.raises(EmptyDataError, match="needs 40 or more"):
        check_aa(logs.between(logs.first_day, logs.first_day).of_card("nothing"))
    with pytest.raises(EmptyDataError, match="no clicks to compute clicks_per_view, "):
        check_aa(Logs(logs.exposures, logs.clicks.clear()))
    with pytest.raises(EmptyDataError, match="no clicks to compute play_seconds_per_user"):
        check_aa(Logs(logs.exposures, logs.clicks.drop("play_seconds")), METRICS[3:])
