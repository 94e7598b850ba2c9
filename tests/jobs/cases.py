"""Events of a small shop, day by day, and a pipeline over them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from nearfar.jobs.pipeline import Pipeline, make_pipeline

FIRST = date(2026, 1, 5)
N_ITEMS = 24


def day_of_events(
    day: date, n_users: int = 120, n_items: int = N_ITEMS, per_day: int = 90, seed: int = 0
) -> pl.DataFrame:
    """Users of two tastes; the catalogue grows by an item a week."""
    n = (day - FIRST).days
    rng = np.random.default_rng([seed, n])
    users = rng.integers(n_users, size=per_day)
    half = n_items // 2 + n // 14
    items = (users % 2) * 1000 + (half * rng.random(per_day) ** 1.5).astype(int)
    seconds = np.sort(rng.integers(86_400, size=per_day))
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return pl.DataFrame(
        {
            "user": [f"u{u:05d}" for u in users],
            "item": items,
            "timestamp": [start + timedelta(seconds=int(s)) for s in seconds],
        }
    ).unique(["user", "item", "timestamp"], maintain_order=True)


def write_days(folder: Path, days: int, **settings: Any) -> date:
    """Folders of days from `FIRST` on; returns the last."""
    for n in range(days):
        write_day(folder, FIRST + timedelta(days=n), **settings)
    return FIRST + timedelta(days=days - 1)


def write_day(folder: Path, day: date, **settings: Any) -> None:
    target = folder / f"date={day}"
    target.mkdir(parents=True, exist_ok=True)
    day_of_events(day, **settings).write_parquet(target / "events.parquet")


SETTINGS: dict[str, Any] = {
    "source": {"kind": "parquet", "path": "events"},
    "sink": {"kind": "parquet", "path": "recommendations"},
    "algorithm": {
        "kind": "multvae", "n_latent": 4, "encoder": {"kind": "base", "hidden": [12]},
        "decoder_hidden": [12], "epochs": 12, "batch_size": 20, "learning_rate": 0.01,
        "beta": {"kind": "constant", "value": 0.1},
    },
    "train": {"window_days": 28, "held_out": 0.4, "every_days": 7},
    "score": {"active_days": 7, "k": 5, "part_users": 25},
    "gates": {"max_ndcg_drop": 0.3, "max_coverage_drop": 0.5, "min_group_users": 1000},
    "contract": {"max_repeated_share": 0.2},
    "metrics_file": "nearfar.prom",
}  # fmt: skip


def pipeline_in(folder: Path, **over: Any) -> Pipeline:
    """The pipeline in a folder; `over` replaces settings of its tables."""
    values = {
        name: {**table, **over.get(name, {})} if isinstance(table, dict) else table
        for name, table in SETTINGS.items()
    }
    return make_pipeline(values, folder)
