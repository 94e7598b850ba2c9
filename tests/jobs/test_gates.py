"""Gates on evaluations that are known."""

import numpy as np
import pytest

from nearfar.core.errors import SettingsError
from nearfar.core.vocabulary import Vocabulary
from nearfar.evaluation.evaluation import Evaluation
from nearfar.evaluation.groups import parse_groups
from nearfar.jobs.gates import (
    COVERAGE_AT,
    NDCG_AT,
    Gates,
    State,
    Verdict,
    catalogue_change,
    judge,
)

GROUPS = parse_groups("1-10,11-")


def measured(few: float, many: float, coverage: float = 0.5, n: int = 200) -> Evaluation:
    """Half of the users have 5 interactions, half 50."""
    counts = np.repeat([4, 49], n // 2)
    return Evaluation(
        name="m", per_user={NDCG_AT: np.repeat([few, many], n // 2)},
        overall={COVERAGE_AT: coverage}, user_ids=Vocabulary(range(n)), n_fold_in=counts,
        n_held_out=np.ones(n, int), n_dropped=0,
    )  # fmt: skip


def refused(candidate: Evaluation, *, state: State | None = None, **settings) -> set[str]:
    before = State(Vocabulary(range(100)), 10.0, 0.0)
    verdicts = judge(
        Gates(**settings), candidate, measured(0.1, 0.1), measured(0.4, 0.4), state or before,
        before, GROUPS,
    )  # fmt: skip
    return {v.gate for v in verdicts if not v.passed}


def test_the_champions_equal_passes_and_each_loss_has_its_gate() -> None:
    assert refused(measured(0.4, 0.4)) == set()
    assert refused(measured(0.39, 0.39), max_ndcg_drop=0.02) == {"max_ndcg_drop"}
    assert refused(measured(0.39, 0.39), max_ndcg_drop=0.03) == set()
    assert refused(measured(0.3, 0.5)) == {"max_group_drop"}
    assert refused(measured(0.3, 0.5), min_group_users=101) == set()
    assert refused(measured(0.4, 0.4, coverage=0.3)) == {"max_coverage_drop"}
    assert refused(measured(0.05, 0.05)) == {
        "min_over_popularity", "max_ndcg_drop", "max_group_drop"
    }  # fmt: skip


def test_drift_of_data_and_collapse() -> None:
    items = Vocabulary(range(100))
    other = State(Vocabulary(range(80, 180)), 10.0, 0.0)
    assert refused(measured(0.4, 0.4), state=other) == {"max_catalogue_change"}
    assert refused(measured(0.4, 0.4), state=State(items, 16.0, 0.0)) == {"max_activity_change"}
    assert refused(measured(0.4, 0.4), state=State(items, 10.0, 0.95)) == {"max_collapsed"}
    assert refused(measured(0.4, 0.4), state=State(items, 10.0, None)) == set()


def test_without_a_champion_only_popularity_and_collapse_count() -> None:
    verdicts = judge(
        Gates(), measured(0.4, 0.4), measured(0.1, 0.1), None,
        State(Vocabulary(range(3)), 1.0, 0.0), None, GROUPS,
    )  # fmt: skip
    assert [v.gate for v in verdicts] == ["min_over_popularity", "max_collapsed"]
    assert all(v.passed for v in verdicts)


def test_a_gate_that_could_not_judge_says_so() -> None:
    same = State(Vocabulary(range(100)), 10.0, 0.0)
    verdicts = judge(
        Gates(min_group_users=101), measured(0.3, 0.5), measured(0.1, 0.1), measured(0.4, 0.4),
        same, same, GROUPS,
    )  # fmt: skip
    (verdict,) = [v for v in verdicts if v.gate == "max_group_drop"]
    assert verdict.value is None
    assert verdict.told == "not judged: no group has 101 held-out users"


def test_catalogue_change() -> None:
    assert catalogue_change(Vocabulary([1, 2, 3]), Vocabulary([1, 2, 3])) == 0
    assert catalogue_change(Vocabulary([1, 2]), Vocabulary([2, 3])) == pytest.approx(2 / 3)
    assert catalogue_change(Vocabulary(["a"]), Vocabulary(["b"])) == 1


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(SettingsError, match="max_ndcg_drop is -1"):
        Gates(max_ndcg_drop=-1)


def verdicts_of(candidate: Evaluation, champion: Evaluation, **settings) -> dict[str, Verdict]:
    same = State(Vocabulary(range(100)), 8.0, 0.5)
    found = judge(
        Gates(**settings), candidate, measured(0.25, 0.25), champion, same, same, GROUPS
    )  # fmt: skip
    return {verdict.gate: verdict for verdict in found}


def test_the_group_gate_tells_the_group_that_loses_most() -> None:
    champion = measured(0.5, 0.5)
    for few, many, group in [(0.375, 0.25, "11-"), (0.25, 0.375, "1-10")]:
        verdict = verdicts_of(measured(few, many), champion)["max_group_drop"]
        assert (verdict.value, verdict.passed) == (0.5, False)
        assert verdict.told == f"NDCG@100 of users with {group} interactions"
    gained = verdicts_of(measured(0.75, 0.625), champion)["max_group_drop"]
    assert (gained.value, gained.told) == (0.0, "no group of users lost anything")


def test_exactly_at_its_limit_every_gate_passes() -> None:
    # Binary fractions, so that no rounding decides.
    limits = {
        "min_over_popularity": 1.0, "max_ndcg_drop": 0.5, "max_coverage_drop": 0.5,
        "max_group_drop": 0.5, "max_collapsed": 0.5, "max_catalogue_change": 0.0,
        "max_activity_change": 0.0, "min_group_users": 100,
    }  # fmt: skip
    found = verdicts_of(measured(0.5, 0.5, coverage=0.25), measured(1.0, 1.0), **limits)
    assert len(found) == 7
    for gate, verdict in found.items():
        assert (verdict.value, verdict.limit, verdict.passed) == (limits[gate],) * 2 + (True,)


def test_over_a_base_of_0_any_gain_is_endless_and_none_is_none() -> None:
    nothing, something = measured(0.0, 0.0, coverage=0.0), measured(0.5, 0.5)
    state = State(Vocabulary(range(3)), 1.0)
    for candidate, gain in [(something, float("inf")), (nothing, 0.0)]:
        found = judge(Gates(), candidate, nothing, nothing, state, None, GROUPS)
        by_gate = {verdict.gate: verdict for verdict in found}
        assert by_gate["min_over_popularity"].value == gain
        assert by_gate["max_ndcg_drop"].value == -gain
        assert all(verdict.passed for verdict in found)
