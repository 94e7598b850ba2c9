"""Which events are rejected, and why."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from nearfar.core.errors import SchemaError

EMPTY = "empty"
REASONS = {
    "user missing": "missing",
    "item missing": "missing",
    "timestamp missing or unreadable": "missing",
    "rating missing": "missing",
    "weight missing": "missing",
    "user unusable": "unusable",
    "item unusable": "unusable",
    "rating unusable": "unusable",
    "weight unusable": "unusable",
    "of the future": "misdated",
    "after the window": "misdated",
    "before the window": "misdated",
    "repeated": "repeated",
    "no event: the weight is 0": EMPTY,
    "no event: a return, the weight is negative": EMPTY,
}
"""Why a row is rejected, and the limit that it counts against ("empty" has none). The first reason
that holds is given."""

MAX_ID_BYTES = 1024
"""Longer ids fit in no index of PostgreSQL."""

ID_KINDS = (pl.Int64, pl.String)
NUMBERS = ("rating", "weight")


def check_schema(events: pl.DataFrame) -> None:
    """Raises SchemaError where events are not as `EventSource.read` hands them out."""
    for column in ("user", "item"):
        kind = events.schema.get(column)
        if kind not in ID_KINDS:
            raise SchemaError(f"{column} ids are {kind or 'missing'}; make them integers or text")
    kind = events.schema.get("timestamp")
    if not (isinstance(kind, pl.Datetime) and kind.time_zone == "UTC"):
        raise SchemaError(f"timestamps are {kind or 'missing'}; moments in UTC were expected")
    for column in NUMBERS:
        if column in events.columns and not events.schema[column].is_numeric():
            raise SchemaError(f"the {column} is {events.schema[column]}; numbers were expected")


def rejections(
    events: pl.DataFrame, since: datetime, until: datetime, latest: datetime
) -> pl.Series:
    """The reason for which each row is rejected; null where it is not.

    Args:
        events: rows of the right schema.
        since, until: the window, [since, until).
        latest: events after this are of the future.
    """
    tests = _tests(events, since, until, latest)
    told = (pl.when(tests[r]).then(pl.lit(r)) for r in REASONS if r in tests)
    reason = pl.coalesce(*told, pl.lit(None, pl.String)).alias("reason")
    reasons = events.select(reason).to_series()
    good = reasons.is_null()
    # Two purchases of a day, of 2 and of 3 pieces, are no repetition where times are days.
    told = [column for column in ("kind", *NUMBERS) if column in events.columns]
    event = pl.struct("user", "item", "timestamp", *told)
    repeated = events.filter(good).select(~event.is_first_distinct()).to_series()
    if repeated.any():
        reasons = reasons.scatter(good.arg_true().filter(repeated), "repeated")
    return reasons


def _tests(
    events: pl.DataFrame, since: datetime, until: datetime, latest: datetime
) -> dict[str, pl.Expr]:
    numbers = [c for c in NUMBERS if c in events.columns]
    tests = {f"{c} missing": pl.col(c).is_null() for c in ("user", "item", *numbers)}
    tests["timestamp missing or unreadable"] = pl.col("timestamp").is_null()
    for column in ("user", "item"):
        if events.schema[column] == pl.String:
            tests[f"{column} unusable"] = unusable(pl.col(column))
    for column in numbers:
        number = pl.col(column)
        fine = number >= 0 if column == "rating" else number.is_not_null()
        if events.schema[column].is_float():
            fine &= number.is_finite()
        tests[f"{column} unusable"] = ~fine
    if "weight" in events.columns:
        tests["no event: the weight is 0"] = pl.col("weight") == 0
        tests["no event: a return, the weight is negative"] = pl.col("weight") < 0
    moment = pl.col("timestamp")
    tests["of the future"] = moment > latest
    tests["after the window"] = moment >= until
    tests["before the window"] = moment < since
    return tests


def unusable(ids: pl.Expr) -> pl.Expr:
    """Which text ids no database can hold: empty, with the character NUL, or too long."""
    long = ids.str.len_bytes() > MAX_ID_BYTES
    return (ids == "") | long | ids.str.contains("\0", literal=True)
