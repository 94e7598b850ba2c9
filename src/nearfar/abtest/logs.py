"""Logs of exposures and clicks, checked and summed by user and day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import polars as pl

from nearfar.abtest.assignment import id_texts
from nearfar.abtest.log_rules import Clicks, remarks_on_users, remarks_on_zones
from nearfar.abtest.sources import Source, open_sources
from nearfar.core import identity
from nearfar.core.errors import DataError, EmptyDataError, SchemaError, SettingsError
from nearfar.tables.clock import Clock
from nearfar.tables.columns import EVENT_ROLES, OPTIONS, PLAIN_ROLES, Kind, Role, resolve
from nearfar.tables.folder import remark_on_copies
from nearfar.tables.names import plain_name
from nearfar.tables.raw import RawFiles
from nearfar.tables.report import ReadReport
from nearfar.tables.rows import TableRows
from nearfar.tables.rules import RowRules
from nearfar.tables.table import read_rows

SECONDS_A_DAY = 86_400
HELD_ROWS = 5_000_000
"""Sums of blocks are merged whenever they have more rows than this."""


def _column(name: str, kind: Kind) -> Role:
    return Role(name, kind, (plain_name(name),))


USER, TIMESTAMP = EVENT_ROLES[0], replace(EVENT_ROLES[3], required=True)
EXPOSURES = (
    USER, TIMESTAMP, _column("arm", "text"), _column("card", "text"), _column("views", "number"),
    _column("served", "text"),
)  # fmt: skip
"""A row per view, or with `views` several. `arm` may be missing before the experiment starts;
`served` is the arm whose recommendations the card really showed."""

CLICKS = (USER, TIMESTAMP, _column("card", "text"), _column("play_seconds", "number"))
"""A row per click; `play_seconds` is how long what was clicked then played, missing for not."""


@dataclass(frozen=True, eq=False)
class Logs:
    """What users saw and did, by day (UTC).

    Args:
        exposures: columns user, day, views, and arm, card and served where the log has them.
        clicks: columns user, day, clicks, and card and play_seconds where the log has them.
        remarks: what was left out and converted, and what looks odd.
    """

    exposures: pl.DataFrame
    clicks: pl.DataFrame
    remarks: tuple[str, ...] = ()

    @property
    def cards(self) -> tuple[str, ...]:
        """The cards that were shown, in the order of their names; none where none are named."""
        if "card" not in self.exposures.columns:
            return ()
        return tuple(self.exposures["card"].unique().sort().to_list())

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
        return self._filtered(pl.col("card") == card)

    def between(self, first: date | None, last: date | None) -> Logs:
        """The part from a day to a day, both included."""
        within = pl.lit(True)
        if first is not None:
            within &= pl.col("day") >= first
        if last is not None:
            within &= pl.col("day") <= last
        return self._filtered(within)

    def _filtered(self, kept: pl.Expr) -> Logs:
        return replace(self, exposures=self.exposures.filter(kept), clicks=self.clicks.filter(kept))


def read_logs(exposures: Source, clicks: Source, columns: Mapping[str, str] | None = None) -> Logs:
    """Both logs, from tables, Parquet files or folders, or queries.

    Args:
        exposures: columns user, timestamp, and arm but for planning; optional card, views (1
            without), served.
        clicks: columns user, timestamp; optional card, play_seconds. Rows that a column of kinds
            or outcomes says to be none (an impression, `clicked` 0) are left out.
        columns: role -> the column's name in the logs, where it is another.

    Raises:
        SchemaError: a column is missing or of a wrong type, or one log names cards and the other
            does not.
        DataError: a value is missing or impossible; with its row.
        EmptyDataError: there are no exposures.
        SettingsError: `columns` names an unknown role.

    Examples:
        >>> from nearfar.abtest.logs import read_logs
        >>> from datetime import datetime
        >>> exposures = pl.DataFrame({"user": [1, 2], "timestamp": [datetime(2026, 5, 1)] * 2})
        >>> clicks = pl.DataFrame({"user": [1], "timestamp": [datetime(2026, 5, 1)]})
        >>> read_logs(exposures, clicks).exposures.height
        2
    """
    named = dict(columns or {})
    known = {
        role.name for role in (*EXPOSURES, *CLICKS, *(r for r in PLAIN_ROLES if r.name in OPTIONS))
    }
    if unknown := set(named) - known:
        raise SettingsError(
            f"{sorted(unknown)[0]!r} is no column of logs; there are {', '.join(sorted(known))}"
        )
    told = ReadReport(), ReadReport()
    clocks = Clock("the exposures"), Clock("the clicks")
    seen = _daily(exposures, EXPOSURES, named, _exposure_rows, told[0], clocks[0])
    done = _daily(clicks, CLICKS, named, _click_rows, told[1], clocks[1], Clicks(named, told[1]))
    if seen.is_empty():
        raise EmptyDataError("there are no exposures; an A/B test needs to know who saw what")
    if ("card" in seen.columns) != ("card" in done.columns):
        first, second = (
            ("exposures", "clicks") if "card" in seen.columns else ("clicks", "exposures")
        )
        raise SchemaError(f"the {first} name cards and the {second} do not; give both, or neither")
    remarks = [
        f"{log}: {remark}"
        for log, report in zip(("exposures", "clicks"), told, strict=True)
        for remark in report.losses()
    ]
    return Logs(seen, done, (*remarks, *remarks_on_zones(*(clock.zones for clock in clocks))))


def _daily(
    source: Source,
    roles: Sequence[Role],
    named: Mapping[str, str],
    rows_of: Callable[[TableRows], pl.DataFrame],
    report: ReadReport,
    clock: Clock,
    clicks: Clicks | None = None,
) -> pl.DataFrame:
    parts: list[pl.DataFrame] = []
    first: tuple[str, list[str]] | None = None
    typed = True
    n_copies = 0
    own = roles
    roles = roles if clicks is None else (*roles, *PLAIN_ROLES)
    rules = RowRules(has_options=False)
    given = {role.name: named[role.name] for role in roles if role.name in named}
    for table in open_sources(source):
        columns = list(resolve(table.columns, table.where, own, given))
        first = first or (table.where, columns)
        if columns != first[1]:
            raise SchemaError(
                f"{table.where} has the columns {', '.join(columns)}, {first[0]} "
                f"{', '.join(first[1])}; they must be the same"
            )
        typed &= table.typed
        needed = ("user", "timestamp")
        for rows in read_rows([table], roles, given, rules, report, needed=needed, clock=clock):
            if clock.counts_steps:
                raise DataError(
                    f"{rows.where}: the timestamps are too small for dates; seconds since 1970 or "
                    "dates such as 2024-05-01 were expected"
                )
            rows = rows if clicks is None else clicks.only(rows)
            if (rows.frame["timestamp"] % SECONDS_A_DAY != 0).any():
                n_copies += rows.frame.height - rows.frame.unique().height
            parts.append(_summed([rows_of(rows)]))
            if len(parts) > 1 and sum(part.height for part in parts) > HELD_ROWS:
                parts = [_summed(parts)]
    if not parts:
        empty = {name: pl.Series(name, [], _EMPTY[name]) for name in first[1]} if first else {}
        return rows_of(TableRows(pl.DataFrame(empty), 1, None, first[0] if first else ""))
    found = _summed([_with_settled_ids(_summed(parts), typed=typed)])
    report.remarks += clock.remarks
    if isinstance(source, str | Path) and (copies := remark_on_copies(RawFiles(source), ())):
        report.remarks.append(copies)
    if clicks is not None:
        clicks.finish()
    if n_copies:
        report.remarks.append(
            f"{n_copies:,} rows are exact copies of others, down to the second; if they were "
            "logged twice, take them away"
        )
    report.remarks += remarks_on_users(found)
    return found


_EMPTY = {
    "user": pl.String, "timestamp": pl.Int64, "arm": pl.String, "card": pl.String,
    "views": pl.Float64, "served": pl.String, "play_seconds": pl.Float64,
}  # fmt: skip


def _with_settled_ids(rows: pl.DataFrame, *, typed: bool) -> pl.DataFrame:
    """Users as the integers that they spell are written ("7.0" is 7)."""
    users = identity.settled(rows["user"], "user", typed=typed)
    return rows.with_columns(users.cast(pl.String))


def _summed(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """One row a combination of what is no sum, in a fixed order."""
    rows = pl.concat(parts)
    sums = [c for c in ("views", "clicks", "play_seconds") if c in rows.columns]
    keys = [c for c in rows.columns if c not in sums]
    return rows.group_by(keys, maintain_order=True).agg(pl.col(sums).sum()).sort(keys)


def _exposure_rows(rows: TableRows) -> pl.DataFrame:
    frame = rows.frame
    made = _user_and_day(rows)
    for role in ("arm", "card", "served"):
        if role in frame.columns:
            if role == "card":
                _refuse(rows, frame[role].is_null(), "card", "a name")
            made.append(frame[role])
    if "views" not in frame.columns:
        made.append(pl.Series("views", [1], dtype=pl.Int64).new_from_index(0, frame.height))
        return pl.DataFrame(made)
    views = frame["views"]
    bad = views.is_null() | (views < 1) | (views != views.round())
    _refuse(rows, bad, "views", "a whole number from 1 on")
    return pl.DataFrame([*made, views.cast(pl.Int64)])


def _click_rows(rows: TableRows) -> pl.DataFrame:
    frame = rows.frame
    made = _user_and_day(rows)
    if "card" in frame.columns:
        _refuse(rows, frame["card"].is_null(), "card", "a name")
        made.append(frame["card"])
    made.append(pl.Series("clicks", [1], dtype=pl.Int64).new_from_index(0, frame.height))
    if "play_seconds" in frame.columns:
        played = frame["play_seconds"].fill_null(0.0)
        _refuse(rows, played < 0, "play_seconds", "a number of seconds")
        made.append(played)
    return pl.DataFrame(made)


def _user_and_day(rows: TableRows) -> list[pl.Series]:
    days = (rows.frame["timestamp"] // SECONDS_A_DAY).cast(pl.Int32).cast(pl.Date).rename("day")
    return [id_texts(rows.frame["user"]), days]


def _refuse(rows: TableRows, bad: pl.Series, role: str, expected: str) -> None:
    if bad.any():
        at = int(bad.arg_max() or 0)
        raise DataError(
            f"{rows.where}, row {rows.first_row + at:,}: {role} is {rows.frame[role][at]!r}; "
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
        may_be_none = role.strip() in ("kind", "outcome")
        if not sign or not role.strip() or not (column.strip() or may_be_none):
            raise SettingsError(f"{text!r} names no column; write it as user=customer_id")
        found[role.strip()] = column.strip()
    return found
