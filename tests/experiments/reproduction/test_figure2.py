"""Cohorts over seeds: from points that are known, and from numbers that are given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from nearfar.experiments.reproduction import figure2 as module
from nearfar.experiments.reproduction.figure2 import (
    CohortNumbers,
    cohort_numbers,
    cohort_table,
)

CLEAN = [
    {(5, 50): 1.0, (5, 350): 2.0, (50, 350): 3.0},
    {(5, 50): 2.0, (5, 350): 4.0, (50, 350): 3.0},
]


def test_means_intervals_and_the_order_of_section_4_2(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"clean": CLEAN, "small": [{(5, 50): 1.5}] * 2}

    def numbers(study: Any, summaries: Any, seed: int) -> dict[str, CohortNumbers]:
        return {s.row.label: CohortNumbers(found[s.row.label][seed], 0.5 + seed / 10, 0.25)
                for s in summaries}  # fmt: skip

    monkeypatch.setattr(module, "_measure_cohorts", numbers)
    summaries: Any = [
        SimpleNamespace(row=SimpleNamespace(label=label), measured={0: None, 1: None})
        for label in found
    ]
    study: Any = None
    table = cohort_table(study, summaries, 0.95)
    assert table.rows[0][0] == "clean"
    assert table.data[0]["5-50"]["mean"] == 1.5
    assert table.data[0]["5-50"]["half_width"] == pytest.approx(12.706 * 0.5, rel=1e-3)
    assert table.data[0]["purity"]["mean"] == pytest.approx(0.55)
    assert table.data[0]["large_nearer_to_small"] == 1
    assert table.rows[0][-1] == "1 of 2"
    assert table.rows[1][1:4] == ("1.5 ± 0", "-", "-")
    assert table.rows[1][-1] == "0 of 0"
    assert "by chance 0.250" in table.notes[1]


@pytest.mark.parametrize("sparse", [False, True])
def test_numbers_of_one_space_by_their_definition(sparse: bool) -> None:
    rng = np.random.default_rng(0)
    points, labels = rng.random((90, 6)), np.repeat([0, 1, 2], [20, 30, 40])
    points[labels == 2] += 1.0
    means = [points[labels == c].mean(0) for c in range(3)]
    spread = np.sqrt(np.mean([np.sum((p - means[c]) ** 2)
                              for p, c in zip(points, labels, strict=True)]))  # fmt: skip
    given = csr_array(points) if sparse else points
    found = cohort_numbers(given, labels, (5, 50, 350), 0)
    for (a, b), pair in {(0, 1): (5, 50), (0, 2): (5, 350), (1, 2): (50, 350)}.items():
        expected = np.linalg.norm(means[a] - means[b]) / spread
        assert found.distances[pair] == pytest.approx(expected)
    shares = []
    for user, point in enumerate(points):
        far = np.linalg.norm(points - point, axis=1)
        far[user] = np.inf
        shares.append((labels[np.argsort(far)[:10]] == labels[user]).mean())
    assert found.purity == pytest.approx(np.mean(shares))
    assert found.chance == pytest.approx((20 * 19 + 30 * 29 + 40 * 39) / (90 * 89))
