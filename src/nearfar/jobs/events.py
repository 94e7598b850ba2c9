"""The events that a job works on: read, and held to the contract."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from nearfar.jobs.pipeline import Pipeline
from nearfar.jobs.window import window_of
from nearfar.tables.report import ReadReport

QUARANTINE = "quarantine"


@dataclass(frozen=True, eq=False)
class WindowEvents:
    """The accepted events of a window.

    Args:
        frame: columns user, item, timestamp (seconds), and rating where there is one.
        n_rejected: rows that the contract refused.
        report: what the contract found, JSON-able.
    """

    frame: pl.DataFrame
    n_rejected: int
    report: dict[str, Any]


def window_events(
    pipeline: Pipeline,
    as_of: date,
    job: str,
    say: Callable[[str], object],
    accept: Collection[str] = (),
) -> WindowEvents:
    """The events of the window that ends with `as_of`; what is refused goes to the quarantine.

    Raises:
        BrokenContractError: too much is refused, or a day has far too few or too many events.
        DataError: the source cannot be read.
    """
    since, until = window_of(as_of, pipeline.train.window_days)
    say(f"reading events of {since} to {as_of}")
    told = ReadReport()
    raw = pipeline.source.read(since, until, told)
    for remark in told.remarks:
        say(remark)
    quarantine = pipeline.registry / QUARANTINE / f"{job}-{as_of}.parquet"
    checked = pipeline.contract.check(raw, since, until, quarantine=quarantine, accept=accept)
    report = checked.report
    for text in report.accepted:
        say(f"accepted this once: {text}")
    if report.n_rejected:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in report.rejected.items())
        say(f"{report.n_rejected:,} of {report.n_read:,} events are refused: {reasons}")
    seconds = pl.col("timestamp").dt.epoch("s")
    return WindowEvents(checked.events.with_columns(seconds), report.n_rejected, report.to_dict())
