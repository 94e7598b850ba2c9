"""A whole analysis of made-up logs whose uplift is known."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

from nearfar.abtest.analysis import AnalysisSettings, analyse
from nearfar.abtest.assignment import Experiment
from nearfar.abtest.comparison import ArmComparison, corrected
from nearfar.abtest.logs import Logs, read_logs
from nearfar.abtest.metrics import METRICS, percent
from nearfar.abtest.simulate import Simulation, simulate_logs
from nearfar.abtest.uplift import Uplift
from nearfar.core.errors import EmptyDataError, MissingExtraError, SettingsError
from tests.abtest.cases import clicks, exposures

SIMULATION = Simulation(n_users=4000, uplift=0.3, seed=11)
END = SIMULATION.start + timedelta(days=SIMULATION.days - 1)
EXPERIMENT = Experiment("pia", ("old", "pia"), start=SIMULATION.start, end=END)
QUICK = AnalysisSettings(n_resamples=200)


@pytest.fixture(scope="module")
def logs() -> Logs:
    return read_logs(*simulate_logs(SIMULATION, EXPERIMENT))


@pytest.fixture(scope="module")
def found(logs: Logs):
    return analyse(logs, EXPERIMENT, QUICK)


def test_the_true_uplift_is_found(found) -> None:
    """Of metrics, cards and kinds of interval; 12 rows, of which one may miss at 95 %."""
    assert [(r.card, r.metric.name) for r in found.rows[:4]] == [(None, m.name) for m in METRICS]
    assert [r.card for r in found.rows[4:]] == ["home"] * 4 + ["movie"] * 4
    held = [r.uplift.relative_low <= 0.3 <= r.uplift.relative_high for r in found.rows]
    assert sum(held) >= 11
    held = [r.resampled.relative_low <= 0.3 <= r.resampled.relative_high for r in found.rows]
    assert sum(held) >= 11
    first = found.rows[0]
    assert first.is_shown
    assert 0.04 < first.uplift.control < 0.06


def test_cuped_uses_the_days_before(found, logs: Logs) -> None:
    assert all(r.plain is not None for r in found.rows)
    reduction = {r.metric.name: r.variance_reduction for r in found.rows[:4]}
    assert reduction["clicks_per_user"] > 0.2
    without = analyse(logs, EXPERIMENT, replace(QUICK, cuped=False, by_card=False, n_resamples=0))
    for row, plain in zip(found.rows, without.rows, strict=False):
        assert row.plain == plain.uplift
        assert plain.plain is None
        assert plain.variance_reduction is None
        assert plain.resampled is None
    cut = analyse(logs.between(SIMULATION.start, None), EXPERIMENT, replace(QUICK, by_card=False))
    assert [r.uplift for r in cut.rows] == [r.uplift for r in without.rows]
    assert any("No CUPED" in note for note in cut.notes)


def test_json_sentences_and_table(found) -> None:
    value = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert value["n_users"].keys() == {"old", "pia"}
    assert sum(value["n_users"].values()) == found.units.frame.height
    assert len(value["rows"]) == 12
    row = value["rows"][0]
    assert row["metric"] == "clicks_per_view"
    assert row["p"] <= row["p_bh"] <= row["p_holm"]
    sentence = found.sentences[0]
    assert sentence.startswith("Clicks per daily view, pia: ")
    assert "95 % interval +" in sentence
    assert sentence.endswith("more than the control.")
    text = str(found.table())
    assert "clicks_per_user_view" in text
    assert "14 days" in text
    assert "One look only" in text


def test_a_seed_fixes_everything(found, logs: Logs) -> None:
    assert analyse(logs, EXPERIMENT, QUICK).to_dict() == found.to_dict()
    other = analyse(logs, EXPERIMENT, replace(QUICK, seed=1))
    assert other.rows[0].uplift == found.rows[0].uplift
    assert other.rows[0].resampled != found.rows[0].resampled


def test_daily_looks_decide_by_the_always_valid_interval(found, logs: Logs) -> None:
    settings = replace(QUICK, expected_uplift=0.2, by_card=False, n_resamples=0)
    daily = analyse(logs, EXPERIMENT, settings)
    for row, fixed in zip(daily.rows, found.rows, strict=False):
        assert row.always_valid.low < fixed.uplift.relative_low
        assert row.always_valid.high > fixed.uplift.relative_high
        assert row.p == row.always_valid.p > fixed.p
        assert "always valid 95 % interval" in row.sentence
    assert not any("One look only" in note for note in daily.notes)
    with pytest.raises(SettingsError, match="above 0"):
        AnalysisSettings(expected_uplift=-0.1)


def test_three_arms_are_each_compared_with_the_control() -> None:
    experiment = Experiment("three", ("c", "b", "a"), (1, 1, 2), start=SIMULATION.start)
    logs = read_logs(*simulate_logs(replace(SIMULATION, n_users=1500), experiment))
    found = analyse(logs, experiment, replace(QUICK, by_card=False, metrics=METRICS[:2]))
    assert [(r.arm, r.metric.name) for r in found.rows] == [
        (arm, m.name) for arm in ("b", "a") for m in METRICS[:2]
    ]
    assert found.n_users["a"] > found.n_users["b"]
    assert found.rows[0].uplift.control == pytest.approx(found.rows[2].uplift.control, rel=0.1)


def test_no_uplift_is_said_to_be_none() -> None:
    simulation = replace(SIMULATION, uplift=0.0, n_users=1000, seed=4)
    logs = read_logs(*simulate_logs(simulation, EXPERIMENT))
    found = analyse(logs, EXPERIMENT, replace(QUICK, by_card=False))
    assert all(s.endswith("no difference is shown.") for s in found.sentences)


def test_what_is_missing_is_noted(logs: Logs) -> None:
    short = replace(EXPERIMENT, end=SIMULATION.start + timedelta(days=9))
    bare = Logs(logs.exposures, logs.clicks.drop("play_seconds"))
    with pytest.raises(EmptyDataError, match="play time needs play_seconds"):
        analyse(bare, short, replace(QUICK, metrics=METRICS[3:]))
    notes = " ".join(analyse(bare, short, replace(QUICK, by_card=False, n_resamples=0)).notes)
    assert "10 days are not whole weeks" in notes
    assert "Not in the logs: play_seconds_per_user" in notes
    twice = logs.exposures.head(1).with_columns(
        arm=pl.when(pl.col("arm") == "old").then(pl.lit("pia")).otherwise(pl.lit("old")),
        day=pl.lit(SIMULATION.start),
    )
    once = twice.with_columns(
        arm=pl.when(pl.col("arm") == "old").then(pl.lit("pia")).otherwise(pl.lit("old"))
    )
    mixed = Logs(pl.concat([logs.exposures, twice, once]), logs.clicks)
    found = analyse(mixed, EXPERIMENT, replace(QUICK, by_card=False, n_resamples=0))
    assert found.units.n_mixed == 1
    assert "1 users were in several arms" in " ".join(found.notes)


def test_days_are_those_of_the_data_and_an_early_look_is_called_so(logs: Logs) -> None:
    settings = replace(QUICK, by_card=False, n_resamples=0)
    longer = replace(EXPERIMENT, end=END + timedelta(days=30))
    found = analyse(logs, longer, settings)
    assert found.warnings == (f"data end on {END}, day 14 of 44: an early look",)
    assert f"{SIMULATION.start} to {END}, 14 days" in found.notes[0]
    value = found.to_dict()
    assert (value["last_day"], value["n_days"], value["n_planned_days"]) == (str(END), 14, 44)
    assert value["warnings"] == list(found.warnings)
    over = analyse(logs, EXPERIMENT, settings)
    assert over.warnings == ()
    assert over.rows == found.rows
    endless = analyse(logs, replace(EXPERIMENT, end=None), settings)
    assert endless.warnings == ()
    assert endless.to_dict()["n_planned_days"] is None
    # a last day on which somebody still clicks belongs to the data
    seen = logs.exposures.filter(pl.col("day") < END)
    assert analyse(Logs(seen, logs.clicks), EXPERIMENT, settings).warnings == ()


def test_a_broken_test_is_warned_of(logs: Logs) -> None:
    settings = replace(QUICK, by_card=False, n_resamples=0)
    lost = (pl.col("arm") == "pia").fill_null(False) & (pl.col("user").cast(pl.Int64) % 6 == 0)
    told, clicked = analyse(
        Logs(logs.exposures.filter(~lost), logs.clicks), EXPERIMENT, settings
    ).warnings
    assert "of users never exposed" in clicked
    assert told.startswith("users of the arms: old ")
    assert "not by chance (all cards" in told
    (told,) = analyse(logs, replace(EXPERIMENT, salt="other"), settings).warnings
    assert "users are in another arm than their id says" in told
    # without a salt nothing says that arms came from the hash
    assert analyse(logs, replace(EXPERIMENT, name="other"), settings).warnings == ()


def test_daily_looks_never_fall_back_on_what_holds_once() -> None:
    """Where no click in the control leaves no always valid interval, nothing is decided."""
    seen = exposures(*[(f"u{i}", "ab"[i % 2], 0, "home", 1) for i in range(40)])
    done = clicks(*[(f"u{i}", 0, "home", 1.0) for i in range(1, 40, 2) for _ in range(i % 7)])
    experiment = Experiment("e", ("a", "b"))
    settings = AnalysisSettings(metrics=METRICS[:3], expected_uplift=0.1)
    for row in analyse(read_logs(seen, done), experiment, settings).rows:
        assert row.uplift.p is not None
        assert row.uplift.p < 0.05
        assert row.p is row.p_holm is row.interval is None
        assert not row.is_shown
        assert "too little happened" in row.sentence


def row(p: float | None) -> ArmComparison:
    return ArmComparison(METRICS[0], "b", None, 0.95, Uplift(1, 1, 0, None, None, 0, None, None, p))


def test_corrections_are_those_of_tea_tasting() -> None:
    """Holm is its adjust_fwer under any dependence, Benjamini-Hochberg its adjust_fdr."""
    import tea_tasting as tt

    p = np.random.default_rng(0).uniform(0, 0.1, size=7)
    rows = corrected([row(v) for v in p] + [row(None)])
    made = tt.experiment.ExperimentResult({str(i): {"pvalue": v} for i, v in enumerate(p)})
    by_bh = [m["pvalue_adj"] for m in tt.adjust_fdr(made).to_dicts()]
    by_holm = [
        m["pvalue_adj"]
        for m in tt.adjust_fwer(made, arbitrary_dependence=True, method="bonferroni").to_dicts()
    ]
    assert_allclose([r.p_bh for r in rows[:-1]], by_bh)
    assert_allclose([r.p_holm for r in rows[:-1]], by_holm)
    assert rows[-1].p_holm is None
    assert "too little happened" in rows[-1].sentence
    assert corrected([row(None)]) == [row(None)]


def test_changes_for_people() -> None:
    assert [percent(v) for v in (1.1634, -0.0083, 0.05, 5.09)] == [
        "+116 %", "-0.83 %", "+5 %", "+509 %",
    ]  # fmt: skip


def test_a_missing_library_is_told_before_work_starts(monkeypatch, logs: Logs) -> None:
    monkeypatch.setattr("nearfar.core.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nearfar\[abtest\]'"):
        analyse(logs, EXPERIMENT)
