"""Read the files of a folder that may be partitioned by day, also by days of another time zone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from nearfar.core.secrets import Url
from nearfar.store.event_rows import EventRows
from nearfar.store.sources._files import DatedFile, FileSystem, dated_files
from nearfar.tables.report import ReadReport

SHIFTED_SHARE = 0.005
"""Folders are named after days of another time zone, or of the arrival of events, if more than this
share of their rows lies on the day before or after."""

AddFile = Callable[[FileSystem, DatedFile, Sequence[DatedFile]], None]
"""Add a file to the rows, given all files of the window."""


def add_files(
    address: Url, endings: re.Pattern[str], partition: str, rows: EventRows, add_file: AddFile
) -> None:
    """Add the files of the window's days.

    Days are in UTC. If folders are named after days of another time zone, those of the day before
    and after the window may hold events of the window: these folders are read too.

    Args:
        address, endings, partition: as for `dated_files`.
        rows: collects the events.
        add_file: adds the events of a file in the window; if the file has a day, also those far
            from that day.

    Raises:
        DataError: as `dated_files` and `add_file`.
    """
    filesystem, files = dated_files(
        address, endings, partition, rows.since, rows.until, rows.report
    )
    for file in files:
        add_file(filesystem, file, files)
    neighbours = {
        rows.since - timedelta(days=1): rows.n_later,
        rows.until: rows.n_earlier,
    }
    for day, n_shifted in neighbours.items():
        if n_shifted <= SHIFTED_SHARE * rows.n_of_folders:
            continue
        next_day = day + timedelta(days=1)
        _, files_of_day = dated_files(address, endings, partition, day, next_day, ReadReport())
        nearby = [f for f in files_of_day if f.day]
        for file in nearby:
            add_file(filesystem, replace(file, day=None), [*files, file])
        also = f"; that of {day} is read too" if nearby else ""
        rows.report.remarks.append(
            f"{n_shifted:,} of {rows.n_of_folders:,} events lie on the day "
            f"{'before' if day == rows.until else 'after'} that of their folder in UTC, as if "
            f"folders were named after days of another time zone, or of the arrival{also}"
        )
