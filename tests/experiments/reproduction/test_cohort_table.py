"""Distances of cohorts over seeds: from models whose latents are known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nearfar.experiments.reproduction import cohort_table as module
from nearfar.experiments.reproduction.cohort_table import cohort_table

CLEAN = [
    {(5, 50): 1.0, (5, 350): 2.0, (50, 350): 3.0},
    {(5, 50): 2.0, (5, 350): 4.0, (50, 350): 3.0},
]


def test_means_intervals_and_the_order_of_section_4_2(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"clean": CLEAN, "small": [{(5, 50): 1.5}] * 2}

    def distances(study: Any, summary: Any, seed: int) -> dict[tuple[int, int], float]:
        return found[summary.row.label][seed]

    monkeypatch.setattr(module, "_distances", distances)
    summaries: Any = [
        SimpleNamespace(row=SimpleNamespace(label=label), measured={0: None, 1: None})
        for label in found
    ]
    study: Any = None
    table = cohort_table(study, summaries, 0.95)
    assert table.rows[0][0] == "clean"
    assert table.data[0]["5-50"]["mean"] == 1.5
    assert table.data[0]["5-50"]["half_width"] == pytest.approx(12.706 * 0.5, rel=1e-3)
    assert table.data[0]["large_nearer_to_small"] == 1
    assert table.rows[0][-1] == "1 of 2"
    assert table.rows[1][1:] == ("1.5 ± 0", "-", "-", "0 of 0")
