"""Made-up logs are what they say they are."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from nearfar.abtest.assignment import Experiment, read_experiment
from nearfar.abtest.logs import read_logs
from nearfar.abtest.simulate import Simulation, draw_users, simulate_logs, write_simulation
from nearfar.core.errors import ArtefactError, SettingsError

SIMULATION = Simulation(n_users=500, seed=1)


def test_the_uplift_is_there_and_only_there() -> None:
    simulation = replace(SIMULATION, uplift=0.5)
    rng = np.random.default_rng(0)
    rates = {}
    for treated in (False, True):
        drawn = draw_users(simulation, np.full(60_000, treated), rng)
        for name, days in {"before": slice(0, 14), "during": slice(14, None)}.items():
            rates[treated, name] = drawn.clicks[:, days].sum() / drawn.views[:, days].sum()
    assert rates[True, "during"] / rates[False, "during"] == pytest.approx(1.5, rel=0.03)
    assert rates[True, "before"] / rates[False, "before"] == pytest.approx(1, rel=0.03)


def test_users_differ_stay_as_they_are_and_like_weekends() -> None:
    drawn = draw_users(SIMULATION, np.zeros(20_000, bool), np.random.default_rng(0))
    views = drawn.views.sum(axis=(1, 2))
    most = np.sort(views)[-2000:].sum() / views.sum()
    assert 0.34 < most < 0.42  # a tenth of the users
    before, during = (drawn.views[:, d].sum(axis=(1, 2)) for d in (slice(0, 14), slice(14, None)))
    assert np.corrcoef(before, during)[0, 1] > 0.8
    by_day = drawn.views.sum(axis=(0, 2)).reshape(4, 7)  # from a Monday on
    assert (by_day[:, 5] > 1.3 * by_day[:, 0]).all()
    assert drawn.views[:, :, 0].sum() == pytest.approx(2 * drawn.views[:, :, 1].sum(), rel=0.03)


def test_logs_hold_what_was_drawn_and_a_seed_fixes_them() -> None:
    experiment = Experiment("e")
    seen, done = simulate_logs(SIMULATION, experiment)
    again = simulate_logs(SIMULATION, experiment)
    assert seen.equals(again[0])
    assert done.equals(again[1])
    assert not seen.equals(simulate_logs(replace(SIMULATION, seed=2), experiment)[0])
    assert seen["timestamp"].is_sorted()
    days = seen["timestamp"].dt.date()
    assert (days.min(), days.max()) == (date(2025, 8, 18), date(2025, 9, 14))
    assert (
        seen.filter(days < SIMULATION.start)["arm"].null_count() == (days < SIMULATION.start).sum()
    )
    inside = seen.filter(days >= SIMULATION.start)
    assert inside["arm"].equals(experiment.arms_of(inside["user"]))
    logs = read_logs(seen, done)
    clicked = logs.clicks.join(logs.exposures, on=["user", "day", "card"], how="left")
    assert (clicked["clicks"] <= clicked["views"]).all()
    assert done["play_seconds"].min() >= 0
    assert done["play_seconds"].mean() == pytest.approx(1200, rel=0.15)


def test_files_are_read_back(tmp_path: Path) -> None:
    experiment = Experiment('a "name"', ("old", "é"), (3, 1), salt="s")
    paths = write_simulation(SIMULATION, experiment, tmp_path / "out")
    assert [p.name for p in paths] == ["exposures.parquet", "clicks.parquet", "experiment.toml"]
    found = read_experiment(paths[2])
    assert found == replace(experiment, start=date(2025, 9, 1), end=date(2025, 9, 14))
    assert pl.read_parquet(paths[0]).equals(simulate_logs(SIMULATION, experiment)[0])


@pytest.mark.parametrize("name", ["exposures.parquet", "clicks.parquet", "experiment.toml"])
def test_no_file_is_overwritten(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("of a real test")
    with pytest.raises(ArtefactError, match=f"{name} exists; name another folder"):
        write_simulation(SIMULATION, Experiment("e"), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "of a real test"


@pytest.mark.parametrize(
    "wrong", [{"n_users": 0}, {"days": 0}, {"cards": ()}, {"uplift": -1.0}, {"click_rate": 1.0}]
)
def test_bad_wishes_are_refused(wrong: dict) -> None:
    with pytest.raises(SettingsError, match="expected"):
        Simulation(**wrong)
