"""A pipeline that scores one arm of an experiment."""

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from nearfar.abtest.assignment import read_experiment
from nearfar.core.errors import DataError, SettingsError
from nearfar.jobs.pipeline import Pipeline
from nearfar.jobs.pipeline_sections import ScoreSection
from nearfar.jobs.registry import Registry
from nearfar.jobs.run_due import run_due
from nearfar.jobs.score_daily import score_daily, users_of_arm
from tests.jobs.cases import pipeline_in, write_days

TEST = 'name = "home"\narms = ["control", "pia"]\nweights = [1, 2]\nsalt = "3f9a"\n'


def of(folder: Path, arm: str, **more: object) -> Pipeline:
    """The pipeline of an arm: one registry, a sink of its own."""
    return pipeline_in(
        folder, score={"experiment": "test.toml", "arm": arm, **more}, sink={"path": f"of-{arm}"}
    )


def test_the_arms_share_the_active_users_and_each_gets_what_it_would_get_anyway(
    tmp_path: Path,
) -> None:
    last = write_days(tmp_path / "events", 42)
    (tmp_path / "test.toml").write_text(TEST)
    run_due(pipeline_in(tmp_path), last)
    everyone = pipeline_in(tmp_path).sink.read(last).drop("scored_at")
    experiment = read_experiment(tmp_path / "test.toml")
    told: list[str] = []
    parts = []
    for arm in experiment.arms:
        pipeline = of(tmp_path, arm)
        found = score_daily(pipeline, last, say=told.append)
        assert f"{found.n_users:,} users of arm {arm} were active in 7 days" in told[-1]
        rows = pipeline.sink.read(last).drop("scored_at")
        assert 0 < found.n_users == rows["user"].n_unique() < everyone["user"].n_unique()
        assert {experiment.arm_of(user) for user in rows["user"]} == {arm}
        assert score_daily(pipeline, last).already
        parts.append(rows)
    both = pl.concat(parts).sort("user", "rank")
    # Scores are equal to rounding: products of another number of users may add in another order.
    assert_frame_equal(both, everyone.sort("user", "rank"), rel_tol=1e-5)


def test_a_day_is_scored_anew_when_the_weights_move_users(tmp_path: Path) -> None:
    last = write_days(tmp_path / "events", 42)
    (tmp_path / "test.toml").write_text(TEST)
    run_due(of(tmp_path, "pia"), last)
    pipeline = of(tmp_path, "pia")
    before = pipeline.sink.read(last)
    (tmp_path / "test.toml").write_text(TEST.replace("[1, 2]", "[1, 20]"))
    assert not score_daily(pipeline, last).already
    after = pipeline.sink.read(last)
    assert set(before["user"]) < set(after["user"])


def test_ids_keep_their_order_and_numbers_are_their_digits(tmp_path: Path) -> None:
    path = tmp_path / "test.toml"
    path.write_text(TEST)
    daily = ScoreSection(experiment=str(path), arm="control")
    numbers = pl.Series("user", [5, 3, 11, 8, 2, 40, 17, 9])
    found = users_of_arm(daily, numbers)
    assert 0 < len(found) < len(numbers)
    assert [n for n in numbers if n in set(found)] == found.to_list()
    assert users_of_arm(daily, numbers.cast(pl.String)).to_list() == [str(n) for n in found]
    assert users_of_arm(ScoreSection(), numbers) is numbers


@pytest.mark.parametrize(
    ("arm", "text", "told"),
    [
        ("treatment", TEST, r"score\.arm is 'treatment'; experiment 'home' has control, pia"),
        ("pia", None, r"test\.toml"),
        ("pia", TEST + "armz = 1\n", "armz"),
    ],
)
def test_what_is_wrong_is_told_before_any_training(
    arm: str, text: str | None, told: str, tmp_path: Path
) -> None:
    last = write_days(tmp_path / "events", 42)
    if text is not None:
        (tmp_path / "test.toml").write_text(text)
    pipeline = of(tmp_path, arm)
    with pytest.raises(SettingsError, match=told):
        run_due(pipeline, last)
    assert Registry(pipeline.registry).versions() == []


def test_one_without_the_other_is_refused_and_an_empty_arm_is_told(tmp_path: Path) -> None:
    for half in ({"experiment": "test.toml"}, {"arm": "pia"}):
        with pytest.raises(SettingsError, match="give both or none"):
            pipeline_in(tmp_path, score=half)
    last = write_days(tmp_path / "events", 42)
    (tmp_path / "test.toml").write_text(TEST)
    run_due(of(tmp_path, "pia"), last)
    (tmp_path / "test.toml").write_text(TEST.replace("[1, 2]", "[1, 1000000]"))
    with pytest.raises(DataError, match="nobody of arm 'control' was active in the 7 days"):
        score_daily(of(tmp_path, "control"), last)
