"""Who is in which arm: the same everywhere, as many as asked, independent between experiments."""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nearfar.abtest.assignment import Experiment, read_experiment
from nearfar.core.errors import DataError, SchemaError, SettingsError, UnknownNameError

IDS = pl.Series("user", np.arange(100_000))


def counts(experiment: Experiment) -> list[int]:
    found = dict(experiment.arms_of(IDS).value_counts().iter_rows())
    return [found[arm] for arm in experiment.arms]


@pytest.mark.parametrize(
    ("user", "arm"),
    [(1, "control"), ("1", "control"), ("007", "treatment"), ("zoé", "control"), ("", "treatment")],
)
def test_frozen_vectors(user: int | str, arm: str) -> None:
    """Arms that were once given stay given: a change here moves users of running experiments."""
    assert Experiment("pia-home", salt="2025").arm_of(user) == arm


@given(st.text(), st.text(st.characters(exclude_characters="\0"), min_size=1), st.integers(1, 9))
def test_it_is_what_the_docstring_says(user: str, name: str, weight: int) -> None:
    try:
        name.encode(), user.encode()
    except UnicodeEncodeError:
        return
    experiment = Experiment(name, weights=(weight, 3), salt="s")
    digest = hashlib.sha256(name.encode() + b"\0s\0" + user.encode()).digest()
    place = int.from_bytes(digest[:8], "big") * (weight + 3) // 2**64
    assert experiment.arm_of(user) == experiment.arms[0 if place < weight else 1]


def test_a_column_is_as_its_users() -> None:
    experiment = Experiment("e", arms=("a", "b", "c"), weights=(1, 2, 3))
    for ids in ([5, 6, 70], ["5", "6", "70"], ["x", "é", "5"]):
        column = pl.Series("user", ids)
        assert experiment.arms_of(column).to_list() == [experiment.arm_of(i) for i in ids]
    as_categories = pl.Series("user", ["x", "y"], dtype=pl.Categorical)
    assert experiment.arms_of(as_categories).to_list() == [experiment.arm_of(i) for i in "xy"]
    assert experiment.arm_of(7) == experiment.arm_of("7")
    assert experiment.arms_of(pl.Series("user", [2**64 - 1], dtype=pl.UInt64)).len() == 1


@pytest.mark.parametrize("weights", [(1, 1), (90, 10), (1, 2, 3), (7, 1, 1, 1)])
def test_arms_get_their_shares(weights: tuple[int, ...]) -> None:
    arms = tuple(f"arm{i}" for i in range(len(weights)))
    for name in ("first", "second", "third"):
        found = counts(Experiment(name, arms=arms, weights=weights))
        expected = np.array(weights) / sum(weights) * len(IDS)
        assert stats.chisquare(found, expected).pvalue > 1e-4


def test_experiments_are_independent() -> None:
    """Who is in treatment of one is in treatment of another as often as anybody."""
    others = [Experiment("b"), Experiment("a", salt="x"), Experiment("a "), Experiment("a1")]
    first = Experiment("a").arms_of(IDS)
    for other in others:
        table = pl.DataFrame({"a": first, "b": other.arms_of(IDS)}).group_by("a", "b").len()
        square = table.sort("a", "b")["len"].to_numpy().reshape(2, 2)
        assert stats.chi2_contingency(square).pvalue > 1e-4


def test_neighbouring_ids_are_independent() -> None:
    treated = (Experiment("a").arms_of(IDS) == "treatment").to_numpy()
    assert abs(np.corrcoef(treated[:-1], treated[1:])[0, 1]) < 0.015


def test_weights_count_by_their_ratio_and_growing_only_moves_users_in() -> None:
    assert Experiment("e").arms_of(IDS).equals(Experiment("e", weights=(50, 50)).arms_of(IDS))
    few = Experiment("e", weights=(90, 10)).arms_of(IDS) == "treatment"
    many = Experiment("e", weights=(50, 50)).arms_of(IDS) == "treatment"
    assert (few & ~many).sum() == 0
    assert many.sum() > few.sum()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": ""}, "expected a name"),
        ({"salt": "a\0b"}, "no NUL"),
        ({"arms": ("a",), "weights": (1,)}, "two or more"),
        ({"arms": ("a", "a")}, "two or more"),
        ({"weights": (1,)}, "one whole number"),
        ({"weights": (1, 0)}, "one whole number"),
        ({"weights": (0.5, 0.5)}, "one whole number"),
        ({"start": datetime(2025, 9, 2, 0, 0)}, "start has a time of day"),
        ({"start": date(2025, 9, 2), "end": date(2025, 9, 1)}, "ends on 2025-09-01"),
    ],
)
def test_bad_experiments_are_refused(wrong: dict, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        Experiment(**{"name": "e", **wrong})


def test_bad_ids_are_refused() -> None:
    experiment = Experiment("e")
    for bad in (1.5, True, None, "\ud800"):
        with pytest.raises(DataError):
            experiment.arm_of(bad)
    with pytest.raises(DataError, match="missing in 1 rows, first in 2"):
        experiment.arms_of(pl.Series("user", [1, None]))
    with pytest.raises(SchemaError, match="whole numbers or text"):
        experiment.arms_of(pl.Series("user", [1.5]))


def test_an_experiment_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "e.toml"
    path.write_text('name = "e"\narms = ["old", "new"]\nweights = [9, 1]\nstart = 2025-09-01\n')
    found = read_experiment(path)
    assert found == Experiment("e", ("old", "new"), (9, 1), start=date(2025, 9, 1))
    assert found.control == "old"
    assert found.shares == {"old": 0.9, "new": 0.1}
    path.write_text('name = "e"\nweight = [9, 1]\n')
    with pytest.raises(UnknownNameError, match="did you mean 'weights'"):
        read_experiment(path)
    path.write_text("weights = [9, 1]\n")
    with pytest.raises(SettingsError, match="lacks the experiment's name"):
        read_experiment(path)
