"""Reject unusable events, with a reason for each."""

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
"""Reason of a rejection -> limit that it counts against ("empty" has none). A row gets the first
reason that applies."""

MAX_ID_BYTES = 1024
"""Longer ids do not fit into an index of PostgreSQL."""

ID_KINDS = (pl.Int64, pl.String)
NUMBERS = ("rating", "weight")


def check_schema(events: pl.DataFrame) -> None:
    """Check that the columns are those that `EventSource.read` returns.

    Raises:
        SchemaError: a column is missing or of the wrong type.
    """
    for column in ("user", "item"):
        kind = events.schema.get(column)
        if kind not in ID_KINDS:
            raise SchemaError(f"{column} ids are {kind or 'missing'}; make them integers or text")
    kind = events.schema.get("timestamp")
    if not (isinstance(kind, pl.Datetime) and kind.time_zone == "UTC"):
        raise SchemaError(f"timestamps are {kind or 'missing'}; datetimes in UTC were expected")
    for column in NUMBERS:
        if column in events.columns and not events.schema[column].is_numeric():
            raise SchemaError(f"the {column} is {events.schema[column]}; numbers were expected")


def rejections(
    events: pl.DataFrame, since: datetime, until: datetime, latest: datetime
) -> pl.Series:
    """Return the reason why each row is rejected; null for accepted rows.

    Args:
        events: rows of the right schema.
        since, until: the window [since, until).
        latest: events after this time are of the future.
    """
    tests = _tests(events, since, until, latest)
    failures = (pl.when(tests[r]).then(pl.lit(r)) for r in REASONS if r in tests)
    reason = pl.coalesce(*failures, pl.lit(None, pl.String)).alias("reason")
    reasons = events.select(reason).to_series()
    is_good = reasons.is_null()
    # If times are days, two purchases of 2 and of 3 pieces on one day are not a repetition.
    optional = [column for column in ("kind", *NUMBERS) if column in events.columns]
    event = pl.struct("user", "item", "timestamp", *optional)
    repeated = events.filter(is_good).select(~event.is_first_distinct()).to_series()
    if repeated.any():
        reasons = reasons.scatter(is_good.arg_true().filter(repeated), "repeated")
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
        usable = number >= 0 if column == "rating" else number.is_not_null()
        if events.schema[column].is_float():
            usable &= number.is_finite()
        tests[f"{column} unusable"] = ~usable
    if "weight" in events.columns:
        tests["no event: the weight is 0"] = pl.col("weight") == 0
        tests["no event: a return, the weight is negative"] = pl.col("weight") < 0
    time = pl.col("timestamp")
    tests["of the future"] = time > latest
    tests["after the window"] = time >= until
    tests["before the window"] = time < since
    return tests


def unusable(ids: pl.Expr) -> pl.Expr:
    """Return which text ids no database can hold: empty, with the character NUL, or too long."""
    is_long = ids.str.len_bytes() > MAX_ID_BYTES
    return (ids == "") | is_long | ids.str.contains("\0", literal=True)
