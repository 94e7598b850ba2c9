"""Logs of exposures and clicks, checked and summed by user and day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from nearfar.abtest.assignment import id_texts
from nearfar.abtest.sources import Block, Source, read_blocks
from nearfar.core.errors import DataError, EmptyDataError, SchemaError, SettingsError
from nearfar.data.times import Clock

SECONDS_A_DAY = 86_400
HELD_ROWS = 5_000_000
"""Sums of blocks are merged whenever they have more rows than this."""


@dataclass(frozen=True)
class Layout:
    """The columns of a log.

    Args:
        what: how messages name the log.
        required: columns that must be there.
        optional: columns that may be.
    """

    what: str
    required: tuple[str, ...]
    optional: tuple[str, ...]

    def resolve(
        self, present: Sequence[str], where: str, named: Mapping[str, str]
    ) -> dict[str, str]:
        """The column of each role; `named` tells of those that have another name.

        Raises:
            SchemaError: a column is missing.
        """
        found = {}
        for role in (*self.required, *self.optional):
            column = named.get(role, role)
            if column in present:
                found[role] = column
            elif role in self.required or role in named:
                raise SchemaError(
                    f"{where} has no column {column!r} for the {role} of {self.what}; it has "
                    f"{', '.join(map(repr, present))}: rename one, or name it as {role}=COLUMN"
                )
        return found


EXPOSURES = Layout("exposures", ("user", "timestamp"), ("arm", "card", "views", "served"))
"""A row a view, or with `views` several. `arm` may be missing before the experiment starts;
`served` is the arm whose recommendations the card really showed."""

CLICKS = Layout("clicks", ("user", "timestamp"), ("card", "play_seconds"))
"""A row a click; `play_seconds` is how long what was clicked then played, missing for not."""


@dataclass(frozen=True, eq=False)
class Logs:
    """What users saw and did, by day (UTC).

    Args:
        exposures: columns user, day, views, and arm, card and served where the log has them.
        clicks: columns user, day, clicks, and card and play_seconds where the log has them.
    """

    exposures: pl.DataFrame
    clicks: pl.DataFrame

    @property
    def cards(self) -> tuple[str, ...]:
        """The cards that were shown, in the order of their names; none where none are named."""
        if "card" not in self.exposures.columns:
            return ()
        return tuple(self.exposures["card"].unique().sort().to_list())

    @property
    def has_play(self) -> bool:
        """Whether play time is known."""
        return "play_seconds" in self.clicks.columns

    @property
    def first_day(self) -> date:
        """The first day with an exposure."""
        return self.exposures["day"].min()  # pyright: ignore[reportReturnType]

    @property
    def last_day(self) -> date:
        """The last day with an exposure."""
        return self.exposures["day"].max()  # pyright: ignore[reportReturnType]

    @property
    def last_event_day(self) -> date:
        """The last day with an exposure or a click."""
        days = pl.concat([self.exposures["day"], self.clicks["day"]])
        return days.max()  # pyright: ignore[reportReturnType]

    def of_card(self, card: str) -> Logs:
        """The part of the logs that is of one card."""
        return Logs(*(f.filter(pl.col("card") == card) for f in (self.exposures, self.clicks)))

    def between(self, first: date | None, last: date | None) -> Logs:
        """The part from a day to a day, both included."""
        within = pl.lit(True)
        if first is not None:
            within &= pl.col("day") >= first
        if last is not None:
            within &= pl.col("day") <= last
        return Logs(*(f.filter(within) for f in (self.exposures, self.clicks)))


def read_logs(exposures: Source, clicks: Source, columns: Mapping[str, str] | None = None) -> Logs:
    """Both logs, from tables, Parquet files or folders, or queries.

    Args:
        exposures: columns user, timestamp, and arm but for planning; optional card, views (1
            without), served.
        clicks: columns user, timestamp; optional card, play_seconds.
        columns: role -> the column's name in the logs, where it is another.

    Raises:
        SchemaError: a column is missing or of a wrong type, or one log names cards and the other
            does not.
        DataError: a value is missing or impossible; with its row.
        EmptyDataError: there are no exposures.
        SettingsError: `columns` names an unknown role.
    """
    named = dict(columns or {})
    known = {*EXPOSURES.required, *EXPOSURES.optional, *CLICKS.required, *CLICKS.optional}
    if unknown := set(named) - known:
        raise SettingsError(
            f"{sorted(unknown)[0]!r} is no column of logs; there are {', '.join(sorted(known))}"
        )
    seen = _daily(exposures, EXPOSURES, named, _exposure_rows)
    done = _daily(clicks, CLICKS, named, _click_rows)
    if seen.is_empty():
        raise EmptyDataError("there are no exposures; an A/B test needs to know who saw what")
    if ("card" in seen.columns) != ("card" in done.columns):
        first, second = (
            ("exposures", "clicks") if "card" in seen.columns else ("clicks", "exposures")
        )
        raise SchemaError(f"the {first} name cards and the {second} do not; give both, or neither")
    return Logs(seen, done)


def _daily(
    source: Source,
    layout: Layout,
    named: Mapping[str, str],
    rows_of: Callable[[Block, Clock], pl.DataFrame],
) -> pl.DataFrame:
    parts: list[pl.DataFrame] = []
    clock: Clock | None = None
    columns: list[str] | None = None
    for block in read_blocks(source, lambda present, where: layout.resolve(present, where, named)):
        clock = clock or Clock(f"{block.where}, timestamps of {layout.what}")
        if columns is not None and block.frame.columns != columns:
            raise SchemaError(
                f"{block.where} has the columns {', '.join(block.frame.columns)} of "
                f"{layout.what}, files before it {', '.join(columns)}; they must be the same"
            )
        columns = block.frame.columns
        parts.append(_summed([rows_of(block, clock)]))
        if len(parts) > 1 and sum(part.height for part in parts) > HELD_ROWS:
            parts = [_summed(parts)]
    return _summed(parts)


def _summed(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """One row a combination of what is no sum, in a fixed order."""
    rows = pl.concat(parts)
    sums = [c for c in ("views", "clicks", "play_seconds") if c in rows.columns]
    keys = [c for c in rows.columns if c not in sums]
    return rows.group_by(keys, maintain_order=True).agg(pl.col(sums).sum()).sort(keys)


def _exposure_rows(block: Block, clock: Clock) -> pl.DataFrame:
    frame = block.frame
    made = _user_and_day(block, clock)
    for role in ("arm", "card", "served"):
        if role in frame.columns:
            made.append(_text(block, role, missing=role != "card"))
    if "views" not in frame.columns:
        made.append(pl.Series("views", [1], dtype=pl.Int64).new_from_index(0, frame.height))
        return pl.DataFrame(made)
    views = _number(block, "views")
    _refuse(block, views.is_null() | (views < 1) | (views != views.round()), views,
            "views", "a whole number from 1 on")  # fmt: skip
    return pl.DataFrame([*made, views.cast(pl.Int64)])


def _click_rows(block: Block, clock: Clock) -> pl.DataFrame:
    frame = block.frame
    made = _user_and_day(block, clock)
    if "card" in frame.columns:
        made.append(_text(block, "card"))
    made.append(pl.Series("clicks", [1], dtype=pl.Int64).new_from_index(0, frame.height))
    if "play_seconds" in frame.columns:
        played = _number(block, "play_seconds").fill_null(0.0)
        _refuse(block, (played < 0) | ~played.is_finite(), played,
                "play_seconds", "a number of seconds")  # fmt: skip
        made.append(played)
    return pl.DataFrame(made)


def _user_and_day(block: Block, clock: Clock) -> list[pl.Series]:
    try:
        users = id_texts(block.frame["user"])
    except DataError as error:
        raise type(error)(f"{block.where}: {error}") from None
    moments = block.frame["timestamp"]
    _refuse(block, moments.is_null(), moments, "timestamp", "a moment")
    # an empty first file must not decide in which form moments are written
    seconds = clock.seconds(moments, block.first_row) if len(moments) else moments.cast(pl.Int64)
    days = (seconds // SECONDS_A_DAY).cast(pl.Int32).cast(pl.Date).rename("day")
    return [users, days]


def _text(block: Block, role: str, *, missing: bool = False) -> pl.Series:
    values = block.frame[role]
    kind = values.dtype
    if not (kind.is_integer() or kind in (pl.String, pl.Categorical, pl.Enum, pl.Boolean, pl.Null)):
        raise SchemaError(f"{block.where}: the {role} is {kind}; text was expected")
    if not missing:
        _refuse(block, values.is_null(), values, role, "a name")
    return values.cast(pl.String)


def _number(block: Block, role: str) -> pl.Series:
    values = block.frame[role]
    if not (values.dtype.is_numeric() or values.dtype == pl.Null):
        raise SchemaError(f"{block.where}: {role} is {values.dtype}; numbers were expected")
    return values.cast(pl.Float64)


def _refuse(block: Block, bad: pl.Series, values: pl.Series, role: str, expected: str) -> None:
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise DataError(
            f"{block.where}, row {block.first_row + row:,}: {role} is {values[row]!r}; "
            f"{expected} was expected"
        )


def parse_columns(texts: Sequence[str]) -> dict[str, str]:
    """Names of columns from texts such as "user=customer_id".

    Raises:
        SettingsError: a text is of another form.
    """
    found = {}
    for text in texts:
        role, sign, column = text.partition("=")
        if not sign or not role.strip() or not column.strip():
            raise SettingsError(f"{text!r} names no column; write it as user=customer_id")
        found[role.strip()] = column.strip()
    return found
