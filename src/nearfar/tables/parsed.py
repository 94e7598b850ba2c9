"""The values of a column after they were parsed, and which of them could not be."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, eq=False)
class Parsed:
    """The values of one column.

    Attributes:
        values: typed; null where a value is missing or unreadable.
        bad: which values are there and unreadable (Boolean).
        expected: what was expected of them, for messages.
        given: the values as the table has them, for messages; None: as `values`.
    """

    values: pl.Series
    bad: pl.Series
    expected: str
    given: pl.Series | None = None
