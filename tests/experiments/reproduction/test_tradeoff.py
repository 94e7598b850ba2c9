"""The trade-off of section 2.4: its points, what is measured of them, its table and figure."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from nearfar.algorithms.multvae import MultVAE
from nearfar.core.files import read_json
from nearfar.experiments.reproduction.latent_numbers import KEYS
from nearfar.experiments.reproduction.reproduce import reproduce
from nearfar.experiments.reproduction.row_settings import row_algorithm
from nearfar.experiments.reproduction.rows import BASE_POINT, SWEEPS, TABLES
from nearfar.experiments.reproduction.study import Study
from nearfar.vae.corruption.corruption import Dropout
from nearfar.vae.weights.linear_anneal import LinearAnneal
from tests.experiments.reproduction.cases import TINY, plan

ROWS = TABLES["tradeoff"]
CELLS = {k: v for k, v in TINY.items() if k != "beta"} | {"epochs": 8, "learning_rate": 0.01}


def test_points_are_what_they_are_called() -> None:
    for row in ROWS:
        algorithm = row_algorithm(row, ["ml-1m"])
        assert isinstance(algorithm, MultVAE)
        assert row.point is not None
        assert isinstance(algorithm.beta, LinearAnneal)
        assert isinstance(algorithm.corruption, Dropout)
        weight = 0.0 if algorithm.alignment is None else algorithm.alignment.weight
        found = (algorithm.beta.end, algorithm.corruption.keep_prob, weight)
        assert found == tuple(row.point.values())
        assert row.label == ", ".join(f"{n} {v:g}" for n, v in row.point.items())
    assert ROWS[0].point == BASE_POINT
    assert len({row.label for row in ROWS}) == len(ROWS)


def test_a_sweep_is_measured_drawn_and_taken_up_where_it_was_left(tmp_path: Path) -> None:
    labels = [ROWS[0].label, "beta 20, keep_prob 0.5, lambda_A 0",
              "beta 0.2, keep_prob 0.5, lambda_A 1"]  # fmt: skip
    some = plan(tmp_path, table="tradeoff", only=tuple(labels), overrides={"multvae": CELLS})
    found = reproduce(some, raise_errors=True)
    assert found.complete
    assert (tmp_path / "tradeoff.png").stat().st_size > 10_000
    written = read_json(tmp_path / "tradeoff.json")["latents"]["rows"]
    by_label = {row["row"]: row for row in written}
    assert set(by_label) == set(labels)
    for row in written:
        assert row["neighbours kept, %"]["mean"] > 0
        assert row["I, at least"]["mean"] <= row["I, at most"]["mean"] + 1e-9
        related, unrelated = (row[f"W2, {k}"]["mean"] for k in ("far but related", "least alike"))
        assert row["related / least alike"]["mean"] == pytest.approx(related / unrelated)
    collapsed = by_label["beta 20, keep_prob 0.5, lambda_A 0"]["collapsed dimensions"]["mean"]
    assert collapsed >= by_label[ROWS[0].label]["collapsed dimensions"]["mean"]
    entries = Study(some).entries()
    for entry in entries:
        assert entry.measured is not None
        assert set(entry.measured.latents or {}) == {f"{i}.{k}" for i in KEYS for k in KEYS[i]}
        assert all(v is None or math.isfinite(v) for v in (entry.measured.latents or {}).values())


def test_a_cell_of_another_table_lacks_the_numbers_and_is_measured_again(tmp_path: Path) -> None:
    some = plan(tmp_path, table="tradeoff", only=(ROWS[0].label,), overrides={"multvae": CELLS})
    study = Study(some)
    study.run()
    (entry,) = study.entries()
    assert entry.cell is not None
    assert entry.measured is not None
    study.store.save(entry.cell, replace(entry.measured, latents=None))
    assert study.entries()[0].measured is None
    assert set(SWEEPS) == set(BASE_POINT)
