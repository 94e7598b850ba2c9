"""The common form of rows of recommendations in all sinks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import polars as pl

from nearfar.core.errors import DataError, SchemaError
from nearfar.core.identity import key_of
from nearfar.store.reader import StoredRecommendation
from nearfar.store.rejection import MAX_ID_BYTES, unusable

IdKind = Literal["text", "integer"]
ID_TYPES = {"text": pl.String, "integer": pl.Int64}
MOMENT = pl.Datetime("us", "UTC")
NEEDED = ("user", "rank", "item", "score")


def schema(ids: IdKind) -> dict[str, pl.DataType | type[pl.DataType]]:
    """Return the columns that `RecommendationSink.read` returns, with their types."""
    return {
        "user": ID_TYPES[ids],
        "rank": pl.Int32,
        "item": ID_TYPES[ids],
        "score": pl.Float32,
        "model_version": pl.String,
        "scored_at": MOMENT,
    }


def canonical(rows: pl.DataFrame, ids: IdKind, version: str, scored_at: datetime) -> pl.DataFrame:
    """Return rows in the columns of `schema`, with all values checked.

    Raises:
        SchemaError: a column is missing or of the wrong type.
        DataError: a value is missing or cannot be stored.
    """
    missing = [c for c in NEEDED if c not in rows.columns]
    if missing:
        raise SchemaError(
            f"recommendations have columns {', '.join(rows.columns)}; {', '.join(missing)} missing"
        )
    constants = {"model_version": pl.lit(version), "scored_at": pl.lit(scored_at)}
    rows = rows.with_columns(**{c: v for c, v in constants.items() if c not in rows.columns})
    _check_types(rows)
    rows = rows.with_columns(pl.col("scored_at").dt.convert_time_zone("UTC"))
    frame = rows.select(pl.col(c).cast(kind, strict=False) for c, kind in schema(ids).items())
    problems = {
        **{f"{c} missing": pl.col(c).is_null() for c in frame.columns},
        "rank below 1": pl.col("rank") < 1,
        "score not finite": ~pl.col("score").is_finite(),
    }
    if ids == "text":
        text = f"empty, with the character NUL or longer than {MAX_ID_BYTES:,} bytes"
        problems |= {f"{c} {text}": unusable(pl.col(c)) for c in ("user", "item")}
    counts = frame.select(**{name: test.sum() for name, test in problems.items()}).row(0)
    failures = [f"{n} with the {p}" for p, n in zip(problems, counts, strict=True) if n]
    if failures:
        hint = " (ids must be integers)" if ids == "integer" else ""
        raise DataError(f"of {rows.height} rows, {'; '.join(failures)}{hint}; nothing was written")
    return frame


def _check_types(rows: pl.DataFrame) -> None:
    for column in ("user", "item"):
        kind = rows.schema[column]
        if not (kind.is_integer() or kind == pl.String):
            raise SchemaError(f"{column} ids are {kind}; make them integers or text")
    if not rows.schema["rank"].is_integer():
        raise SchemaError(f"ranks are {rows.schema['rank']}; integers from 1 were expected")
    if not rows.schema["score"].is_numeric():
        raise SchemaError(f"scores are {rows.schema['score']}; numbers were expected")
    kind = rows.schema["scored_at"]
    if not (isinstance(kind, pl.Datetime) and kind.time_zone is not None):
        raise SchemaError(f"scored_at is {kind}; datetimes with a time zone were expected")


def duplicate_error() -> DataError:
    """Return the error for a day in which a user has two items at one rank."""
    return DataError(
        "a user has two items at one rank; nothing was published. Was a user scored in two parts?"
    )


def as_id(user: int | str, ids: IdKind) -> int | str | None:
    """Return a user's id as the sink stores it, or None if the sink cannot hold such an id.

    Ids are compared by the rules of `core.identity`.
    """
    if ids == "text":
        text = str(user)
        try:
            size = len(text.encode())
        except UnicodeEncodeError:  # an unpaired surrogate
            return None
        return text if 0 < size <= MAX_ID_BYTES and "\0" not in text else None
    number = key_of(user, integer=True)
    return number if isinstance(number, int) and -(1 << 63) <= number < 1 << 63 else None


def by_key(users: Sequence[str], ids: IdKind) -> dict[int | str, str]:
    """Return id in the sink -> requested user, for the users that the sink can hold."""
    keys = ((as_id(user, ids), user) for user in users)
    return {key: user for key, user in keys if key is not None}


def by_user(
    rows: Iterable[Sequence[Any]], users_by_id: Mapping[int | str, str]
) -> dict[str, list[StoredRecommendation]]:
    """Return rows (user, rank, item, score, model_version, scored_at) by requested user."""
    result: dict[str, list[StoredRecommendation]] = {}
    for user, *row in rows:
        result.setdefault(users_by_id[user], []).append(StoredRecommendation(*row))
    return result
