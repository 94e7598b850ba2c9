"""Gates on evaluations that are known."""

import numpy as np
import pytest

from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.core.vocabulary import Vocabulary
from nearfar.evaluation.evaluation import Evaluation
from nearfar.evaluation.groups import parse_groups
from nearfar.jobs.gates import (
    COVERAGE_AT,
    NDCG_AT,
    Gates,
    ModelState,
    Verdict,
    accept_failures,
    catalogue_change,
    check_accepted,
    judge,
    reliability_remarks,
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


def refused(candidate: Evaluation, *, state: ModelState | None = None, **settings) -> set[str]:
    before = ModelState(Vocabulary(range(100)), 10.0, 0.0)
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
    other = ModelState(Vocabulary(range(80, 180)), 10.0, 0.0)
    assert refused(measured(0.4, 0.4), state=other) == {"max_catalogue_change"}
    assert refused(measured(0.4, 0.4), state=ModelState(items, 16.0, 0.0)) == {
        "max_activity_change"
    }
    assert refused(measured(0.4, 0.4), state=ModelState(items, 10.0, 0.95)) == {"max_collapsed"}
    assert refused(measured(0.4, 0.4), state=ModelState(items, 10.0, None)) == set()


def test_without_a_champion_only_popularity_and_collapse_count() -> None:
    verdicts = judge(
        Gates(), measured(0.4, 0.4), measured(0.1, 0.1), None,
        ModelState(Vocabulary(range(3)), 1.0, 0.0), None, GROUPS,
    )  # fmt: skip
    assert [v.gate for v in verdicts] == ["min_users", "min_over_popularity", "max_collapsed"]
    assert all(v.passed for v in verdicts)


def test_a_gate_that_could_not_judge_says_so() -> None:
    same = ModelState(Vocabulary(range(100)), 10.0, 0.0)
    verdicts = judge(
        Gates(min_group_users=101), measured(0.3, 0.5), measured(0.1, 0.1), measured(0.4, 0.4),
        same, same, GROUPS,
    )  # fmt: skip
    (verdict,) = [v for v in verdicts if v.gate == "max_group_drop"]
    assert verdict.value is None
    assert verdict.message == "not judged: no group has 101 held-out users"


def test_catalogue_change() -> None:
    assert catalogue_change(Vocabulary([1, 2, 3]), Vocabulary([1, 2, 3])) == 0
    assert catalogue_change(Vocabulary([1, 2]), Vocabulary([2, 3])) == pytest.approx(2 / 3)
    assert catalogue_change(Vocabulary(["a"]), Vocabulary(["b"])) == 1


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(SettingsError, match="max_ndcg_drop is -1"):
        Gates(max_ndcg_drop=-1)


def verdicts_of(
    candidate: Evaluation,
    champion: Evaluation | None,
    *,
    popularity: float = 0.1,
    collapsed: float = 0.0,
    **settings: float,
) -> dict[str, Verdict]:
    same = ModelState(Vocabulary(range(100)), 10.0, collapsed)
    found = judge(
        Gates(**settings), candidate, measured(popularity, popularity, n=candidate.n_users),
        champion, same, None if champion is None else same, GROUPS,
    )  # fmt: skip
    return {v.gate: v for v in found}


def test_values_and_limits_have_units_and_a_gain_is_no_negative_drop() -> None:
    found = verdicts_of(measured(0.5, 0.5, coverage=0.634), measured(0.4, 0.4, coverage=0.5))
    coverage = found["max_coverage_drop"]
    assert (coverage.measured, coverage.allowed) == ("gained 26.8%", "drop of at most 20.0%")
    assert found["min_over_popularity"].measured == "5.00 times popularity"
    assert found["min_over_popularity"].allowed == "at least 1.00 times"
    assert found["min_users"].measured == "200 users"
    assert found["max_collapsed"].measured == "0.0%"
    lost = verdicts_of(measured(0.36, 0.36), measured(0.4, 0.4))["max_ndcg_drop"]
    assert lost.measured == "dropped 10.0%"
    assert lost.to_dict()["measured"] == lost.measured


def test_too_few_users_refuse_a_successor_but_not_a_first_version() -> None:
    few = measured(0.4, 0.4, n=8)
    assert verdicts_of(few, None)["min_users"].passed
    refused = verdicts_of(few, measured(0.4, 0.4, n=8))["min_users"]
    assert not refused.passed
    assert "raise train.held_out" in refused.message
    assert verdicts_of(few, measured(0.4, 0.4, n=8), min_users=8)["min_users"].passed
    nobody = judge(Gates(), None, None, None, ModelState(Vocabulary([1]), 1.0), None, GROUPS)
    assert [v.gate for v in nobody] == ["min_users", "max_collapsed"]


def test_chance_is_remarked_on_where_the_limit_lies_within_the_interval() -> None:
    def noisy(n: int, gain: float) -> list[str]:
        rng = np.random.default_rng(0)
        base, other = measured(0.4, 0.4, n=n), measured(0.4, 0.4, n=n)
        other.per_user[NDCG_AT] = base.per_user[NDCG_AT] + gain + rng.normal(0, 0.2, n)
        return reliability_remarks(Gates(), other, base)

    (remark,) = noisy(20, 0.0)
    assert "20 held-out users" in remark
    assert "95 % interval" in remark
    assert noisy(100_000, 0.01) == []
    assert noisy(20, 0.4) == []
    assert reliability_remarks(Gates(), measured(0.4, 0.4), None) == []


def test_a_first_version_is_remarked_on_where_popularity_may_be_as_good() -> None:
    rng = np.random.default_rng(0)
    popular, first = measured(0.4, 0.4, n=14), measured(0.4, 0.4, n=14)
    first.per_user[NDCG_AT] = popular.per_user[NDCG_AT] + 0.02 + rng.normal(0, 0.2, 14)
    (remark,) = reliability_remarks(Gates(), first, None, popular)
    assert "14 held-out users: NDCG@100 against popularity is" in remark
    first.per_user[NDCG_AT] = popular.per_user[NDCG_AT] + 0.2 + rng.normal(0, 0.01, 14)
    assert reliability_remarks(Gates(), first, None, popular) == []


def test_a_gate_is_accepted_by_its_name_and_says_so() -> None:
    found = list(verdicts_of(measured(0.3, 0.3), measured(0.4, 0.4)).values())
    assert not all(v.passed for v in found)
    accepted = accept_failures(found, {"max_ndcg_drop", "max_group_drop", "max_coverage_drop"})
    assert all(v.passed for v in accepted)
    assert {v.gate for v in accepted if v.accepted} == {"max_ndcg_drop", "max_group_drop"}
    check_accepted(["volume", "max_ndcg_drop"])
    with pytest.raises(UnknownNameError, match="did you mean 'volume'"):
        check_accepted(["volum"])
    with pytest.raises(UnknownNameError):
        check_accepted(["min_group_users"])


def test_the_group_gate_tells_the_group_that_loses_most() -> None:
    champion = measured(0.5, 0.5)
    for few, many, group in [(0.375, 0.25, "11-"), (0.25, 0.375, "1-10")]:
        verdict = verdicts_of(measured(few, many), champion)["max_group_drop"]
        assert (verdict.value, verdict.passed) == (0.5, False)
        assert verdict.message == f"NDCG@100 of users with {group} interactions"
    gained = verdicts_of(measured(0.75, 0.625), champion)["max_group_drop"]
    assert (gained.value, gained.message) == (0.0, "no group of users lost anything")


def test_exactly_at_its_limit_every_gate_passes() -> None:
    # Binary fractions, so that no rounding decides.
    limits = {
        "min_over_popularity": 1.0, "max_ndcg_drop": 0.5, "max_coverage_drop": 0.5,
        "max_group_drop": 0.5, "max_collapsed": 0.5, "max_catalogue_change": 0.0,
        "max_activity_change": 0.0, "min_group_users": 100, "min_users": 200,
    }  # fmt: skip
    candidate, champion = measured(0.5, 0.5, coverage=0.25), measured(1.0, 1.0)
    found = verdicts_of(candidate, champion, popularity=0.25, collapsed=0.5, **limits)
    assert len(found) == 8
    for gate, verdict in found.items():
        assert (verdict.value, verdict.limit, verdict.passed) == (limits[gate],) * 2 + (True,)


def test_over_a_base_of_0_any_gain_is_endless_and_none_is_none() -> None:
    nothing, something = measured(0.0, 0.0, coverage=0.0), measured(0.5, 0.5)
    state = ModelState(Vocabulary(range(3)), 1.0)
    for candidate, gain in [(something, float("inf")), (nothing, 0.0)]:
        found = judge(Gates(), candidate, nothing, nothing, state, None, GROUPS)
        by_gate = {verdict.gate: verdict for verdict in found}
        assert by_gate["min_over_popularity"].value == gain
        assert by_gate["max_ndcg_drop"].value == -gain
        assert all(verdict.passed for verdict in found)
