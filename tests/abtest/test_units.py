"""Users of an experiment, counted by hand."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from nearfar.abtest.assignment import Experiment
from nearfar.abtest.logs import read_logs
from nearfar.abtest.metrics import METRICS
from nearfar.abtest.units import days_without_arms, make_units, user_sums
from nearfar.core.errors import DataError, EmptyDataError, SchemaError
from tests.abtest.cases import TWO, clicks, exposures

C, T = "control", "treatment"
SEEN = exposures(
    ("c1", C, 0, "home", 2), ("c1", C, 2, "home", 1), ("c1", C, 2, "movie", 4),
    ("c2", C, 1, "movie", 1),
    ("t1", T, 1, "home", 3), ("t1", T, 1, "movie", 1),
    ("t2", T, 0, "home", 1),
    ("m1", T, 0, "home", 9), ("m1", C, 1, "home", 9),
    ("c1", None, -3, "home", 7), ("t1", None, -2, "movie", 1), ("t1", None, -1, "movie", 2),
    ("x1", None, -1, "home", 1),
)  # fmt: skip
DONE = clicks(
    ("c1", 0, "home", 10.0), ("c1", 2, "movie", 5.0), ("c1", 2, "movie", None),
    ("t1", 0, "home", 99.0),  # before the first exposure
    ("t1", 1, "home", 20.0), ("t1", 4, "home", 1.0),
    ("m1", 1, "home", 3.0), ("s1", 0, "home", 3.0),
    ("c1", -3, "home", 50.0), ("t1", -1, "movie", 60.0), ("t1", -1, "movie", 60.0),
)  # fmt: skip
LOGS = read_logs(SEEN, DONE)


def rows(frame: pl.DataFrame, *columns: str) -> dict[str, tuple]:
    return {r[0]: r[1:] for r in frame.select("user", *columns).iter_rows()}


def test_sums_of_users() -> None:
    units = make_units(LOGS, TWO)
    assert rows(units.frame, "arm", "views", "user_days", "clicks", "play_seconds") == {
        "c1": (C, 7, 2, 3, 15.0),
        "c2": (C, 1, 1, 0, 0.0),
        "t1": (T, 4, 1, 1, 20.0),
        "t2": (T, 1, 1, 0, 0.0),
    }
    assert (units.first_day, units.last_day, units.n_days) == (
        date(2025, 9, 1),
        date(2025, 9, 3),
        3,
    )
    assert units.n_mixed == 1
    before = rows(units.frame, "pre_views", "pre_user_days", "pre_clicks", "pre_play_seconds")
    assert before == {
        "c1": (7, 1, 1, 50.0),
        "c2": (0, 0, 0, 0.0),
        "t1": (3, 2, 2, 120.0),
        "t2": (0, 0, 0, 0.0),
    }
    assert units.values(T).tolist() == [[4, 1, 1, 20, 3, 2, 2, 120], [1, 1, 0, 0, 0, 0, 0, 0]]
    assert units.sums[:4] == ("views", "user_days", "clicks", "play_seconds")


def test_one_card() -> None:
    with pytest.raises(EmptyDataError, match="arm 'treatment' has 1 users of card 'movie'"):
        make_units(LOGS, TWO, "movie")
    more = exposures(("c2", C, 0, "home", 1))
    logs = read_logs(pl.concat([SEEN, more]), DONE)
    home = make_units(logs, TWO, "home")
    assert rows(home.frame, "views", "user_days", "clicks") == {
        "c1": (3, 2, 1), "c2": (1, 1, 0), "t1": (3, 1, 1), "t2": (1, 1, 0),
    }  # fmt: skip


def test_the_window_ends_where_the_experiment_does() -> None:
    units = make_units(LOGS, Experiment("e", start=TWO.start, end=date(2025, 9, 2)))
    assert rows(units.frame, "views", "clicks")["c1"] == (2, 1)
    late = Experiment("e", start=TWO.start, end=date(2025, 9, 9))
    assert rows(make_units(LOGS, late).frame, "clicks")["t1"] == (2,)


def test_without_days_before_there_is_no_pre() -> None:
    logs = LOGS.between(TWO.start, None)
    units = make_units(logs, TWO)
    assert not units.has_pre
    assert make_units(LOGS, TWO).has_pre
    assert days_without_arms(logs, TWO).exposures.equals(logs.exposures)
    assert days_without_arms(LOGS, TWO).last_day == date(2025, 8, 31)


def test_metrics_that_the_logs_cannot_tell() -> None:
    units = make_units(read_logs(SEEN, DONE.drop("play_seconds")), TWO)
    assert [units.has(m) for m in METRICS] == [True, True, True, False]


def test_user_sums_need_no_arms() -> None:
    logs = read_logs(SEEN.drop("arm"), DONE)
    assert rows(user_sums(logs), "views", "clicks")["m1"] == (18, 1)
    with pytest.raises(SchemaError, match="no column 'arm'"):
        make_units(logs, TWO)


@pytest.mark.parametrize(
    ("experiment", "error", "told"),
    [
        (Experiment("e"), DataError, "have no arm; if"),
        (Experiment("e", (C, "new"), start=TWO.start), DataError, "of arm 'treatment'"),
        (
            Experiment("e", (C, T, "third"), (1, 1, 1), start=TWO.start),
            EmptyDataError,
            "'third' has 0",
        ),
        (Experiment("e", start=date(2026, 1, 1)), EmptyDataError, "no day in common"),
    ],
)
def test_experiments_that_do_not_fit_are_told(experiment, error, told: str) -> None:
    with pytest.raises(error, match=told):
        make_units(LOGS, experiment)
