from __future__ import annotations

import json
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from nearfar.core.errors import DataError, SettingsError, UnknownNameError
from nearfar.evaluation.disparity import Disparity, disparities, disparity_table
from nearfar.evaluation.evaluation import Evaluation
from nearfar.metrics.ndcg import NDCG
from tests.evaluation.cases import RECALL, evaluation


def wins(a: float, b: float) -> float:
    return 1.0 if a > b else 0.5 if a == b else 0.0


def two(group: list[float], others: list[float], **options) -> tuple[Disparity, Disparity]:
    labels = {f"u{i}": "a" if i < len(group) else "b" for i in range(len(group + others))}
    first, second = disparities(evaluation([*group, *others]), labels, **options)
    return first, second


def test_against_all_pairs_of_users() -> None:
    rng = np.random.default_rng(2)
    group, others = rng.integers(0, 6, 9) / 5, rng.integers(1, 7, 13) / 5
    first, second = two(group.tolist(), others.tolist())
    assert (first.group, first.n_users, first.n_others) == ("a", 9, 13)
    table = np.array([[wins(a, b) for b in others] for a in group])
    assert first.superiority == pytest.approx(table.mean())
    assert second.superiority == pytest.approx(1 - table.mean())
    # DeLong: variances of the means over rows and over columns
    error = np.sqrt(table.mean(1).var(ddof=1) / 9 + table.mean(0).var(ddof=1) / 13)
    assert first.superiority_interval is not None
    assert first.superiority_interval.half_width == pytest.approx(1.959964 * error, rel=1e-6)
    assert first.difference == pytest.approx(group.mean() - others.mean())
    a, b = group.var(ddof=1) / 9, others.var(ddof=1) / 13
    freedom = (a + b) ** 2 / (a**2 / 8 + b**2 / 12)
    assert first.interval is not None
    assert first.interval.half_width == pytest.approx(
        stats.t.ppf(0.975, freedom) * np.sqrt(a + b), rel=1e-6
    )
    assert first.p == pytest.approx(second.p)


def test_p_is_the_share_of_all_divisions_as_uneven() -> None:
    """Nine different values can be divided in 126 ways; exact for so few."""
    group, others = [0.9, 0.8, 0.7, 0.3], [0.1, 0.2, 0.4, 0.5, 0.6]
    values = group + others

    def u(chosen: tuple[int, ...]) -> float:
        rest = [v for i, v in enumerate(values) if i not in chosen]
        return sum(wins(values[i], b) for i, b in product(chosen, rest))

    found = u((0, 1, 2, 3))
    assert found == 17
    every = [u(chosen) for chosen in combinations(range(9), 4)]
    expected = np.mean([abs(x - 10) >= abs(found - 10) for x in every])
    assert two(group, others)[0].p == pytest.approx(expected)


def test_equal_groups_and_equal_users() -> None:
    first, _ = two([0.5, 0.5], [0.5, 0.5, 0.5])
    assert (first.p, first.superiority, first.difference) == (1, 0.5, 0)
    assert first.interval is not None
    assert (first.interval.low, first.interval.high) == (0, 0)


def test_groups_by_interactions_and_all_metrics_are_corrected_together() -> None:
    rng = np.random.default_rng(0)
    n = [3] * 40 + [20] * 40 + [90] * 20
    values = np.concatenate([rng.random(40) * 0.6, rng.random(40), 0.4 + 0.6 * rng.random(20)])
    made = evaluation(values, n_fold_in=n)
    made = Evaluation(
        "m", {**made.per_user, NDCG(5): rng.random(100)}, made.user_ids, made.n_fold_in,
        made.n_held_out,
    )  # fmt: skip
    found = disparities(made, "1-10,11-50,51-")
    assert [(str(d.metric), d.group) for d in found] == [
        (m, g) for m in ("Recall@20", "NDCG@5") for g in ("1-10", "11-50", "51-")
    ]
    assert found[0].p is not None
    assert found[0].p < 1e-3
    assert found[0].difference < 0
    raw = [d.p for d in found if d.p is not None]
    assert found[int(np.argmin(raw))].p_holm == pytest.approx(6 * min(raw))
    assert [d.group for d in disparities(made, "1-10,11-50", [RECALL])] == ["1-10", "11-50"]
    assert disparities(made, "1-10,11-50", [RECALL])[0].n_others == 40
    text = str(disparity_table(found))
    assert "superiority" in text
    assert "Mann-Whitney" in text
    json.dumps(disparity_table(found).to_dict(), allow_nan=False)


def test_one_user_has_no_interval_and_no_test() -> None:
    first, _ = two([0.5], [0.2, 0.4])
    assert (first.interval, first.superiority_interval, first.p, first.p_holm) == (None,) * 4
    assert first.superiority == 1


def test_what_cannot_be_compared_is_refused() -> None:
    made = evaluation([0.1, 0.2, 0.3])
    with pytest.raises(SettingsError, match=r"only 1-10 of the groups has users.*at least two"):
        disparities(made, "1-10,11-")
    with pytest.raises(DataError, match="any of the 3 users of 'model', such as 'u0'"):
        disparities(made, {0: "a", 1: "b"})
    with pytest.raises(UnknownNameError, match="NDCG@5"):
        disparities(made, {"u0": "a", "u1": "b"}, ["ndcg@5"])
    with pytest.raises(SettingsError, match="level is 1"):
        disparities(made, {"u0": "a", "u1": "b"}, level=1)
