"""The remark on a log in which other items are popular at its end."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import nearfar as nf

DAY = 86_400
START = 1_700_000_000
N_DAYS, PER_DAY, N_ITEMS = 100, 100, 500


def remarks(days_of_demand: int | None, n_days: int = N_DAYS, **options) -> str:
    """Return the remarks on a log whose items are in demand for some days, or always (None)."""
    rng = np.random.default_rng(3)
    day = np.repeat(np.arange(n_days), PER_DAY)
    if days_of_demand is None:
        items = rng.integers(0, N_ITEMS, len(day))
    else:
        per_day = N_ITEMS // n_days
        born = np.maximum(day - rng.integers(0, days_of_demand, len(day)), 0)
        items = born * per_day + rng.integers(0, per_day, len(day))
    times = START + day * DAY + rng.integers(0, DAY, len(day))
    frame = pl.DataFrame(
        {"user": rng.integers(0, 400, len(day)), "item": items, "timestamp": times}
    )
    report = nf.read_log(frame.sample(fraction=1, shuffle=True, seed=1), **options).read
    assert report is not None
    return "\n".join(report.remarks)


def test_items_in_demand_for_a_few_days_are_reported() -> None:
    text = remarks(days_of_demand=20)
    # The last tenth is days 90 to 99. None of its items is among the most popular of all days
    # before; of 20 items of the days just before it, some are still in demand.
    assert "what is popular changes: of the last tenth of the events 0.0% are of the 20 " in text
    assert "try --since 2024-02-1" in text


@pytest.mark.parametrize("days", [None, 95])
def test_lasting_demand_is_not_reported(days: int | None) -> None:
    assert "what is popular changes" not in remarks(days_of_demand=days)


def test_neither_a_short_log_nor_one_with_a_first_day_is_reported() -> None:
    assert "what is popular changes" not in remarks(days_of_demand=2, n_days=13)
    since = nf.Filters(since=START + DAY)
    assert "what is popular changes" not in remarks(days_of_demand=20, filters=since)
