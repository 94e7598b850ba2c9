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
from nearfar.tables.columns import resolve
from nearfar.tables.folder import remark_on_copies
from nearfar.tables.names import plain_name
from nearfar.tables.raw import RawFiles
from nearfar.tables.report import ReadReport
from nearfar.tables.roles import EVENT_ROLES, OPTIONS, PLAIN_ROLES, Kind, Role
from nearfar.tables.rows import TableRows
from nearfar.tables.rules import RowRules
from nearfar.tables.table import read_rows

SECONDS_A_DAY = 86_400
MAX_UNMERGED_ROWS = 5_000_000
"""Sums of blocks are merged if together they have more rows than this."""


def _column(name: str, kind: Kind) -> Role:
    return Role(name, kind, (plain_name(name),))


USER, TIMESTAMP = EVENT_ROLES[0], replace(EVENT_ROLES[3], required=True)
EXPOSURES = (
    USER, TIMESTAMP, _column("arm", "text"), _column("card", "text"), _column("views", "number"),
    _column("served", "text"),
)  # fmt: skip
"""One row per view, or per several with `views`. `arm` may be missing before the experiment starts;
`served` is the arm whose recommendations the card showed."""

CLICKS = (USER, TIMESTAMP, _column("card", "text"), _column("play_seconds", "number"))
"""One row per click; `play_seconds` is how long the clicked item played, missing if it did not."""


@dataclass(frozen=True, eq=False)
class Logs:
    """Exposures and clicks, summed by user and day (UTC).

    Args:
        exposures: columns user, day, views; and arm, card and served if the log has them.
        clicks: columns user, day, clicks; and card and play_seconds if the log has them.
        remarks: rows left out, conversions, and oddities of the logs.
    """

    exposures: pl.DataFrame
    clicks: pl.DataFrame
    remarks: tuple[str, ...] = ()

    @property
    def cards(self) -> tuple[str, ...]:
        """The names of the cards, sorted; empty if the logs name no cards."""
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
        """Return the rows of one card."""
        return self._filtered(pl.col("card") == card)

    def between(self, first: date | None, last: date | None) -> Logs:
        """Return the rows from the first to the last day, both included; None means no limit."""
        within = pl.lit(True)
        if first is not None:
            within &= pl.col("day") >= first
        if last is not None:
            within &= pl.col("day") <= last
        return self._filtered(within)

    def _filtered(self, condition: pl.Expr) -> Logs:
        return replace(
            self, exposures=self.exposures.filter(condition), clicks=self.clicks.filter(condition)
        )


def read_logs(exposures: Source, clicks: Source, columns: Mapping[str, str] | None = None) -> Logs:
    """Read both logs, from tables, Parquet files or folders, or queries.

    Args:
        exposures: columns user, timestamp and (except for planning) arm; optional card, views
            (default 1), served.
        clicks: columns user, timestamp; optional card, play_seconds. Rows that are not clicks by a
            column of kinds or outcomes (an impression, `clicked` 0) are left out.
        columns: role -> name of the column in the logs, if it differs.

    Raises:
        SchemaError: a column is missing or of a wrong type, or only one log names cards.
        DataError: a value is missing or impossible; the message names its row.
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
            f"{sorted(unknown)[0]!r} is not a column of logs; expected {', '.join(sorted(known))}"
        )
    reports = ReadReport(), ReadReport()
    clocks = Clock("the exposures"), Clock("the clicks")
    exposure_rows = _daily(exposures, EXPOSURES, named, _exposure_rows, reports[0], clocks[0])
    click_rows = _daily(
        clicks, CLICKS, named, _click_rows, reports[1], clocks[1], Clicks(named, reports[1])
    )
    if exposure_rows.is_empty():
        raise EmptyDataError(
            "there are no exposures; an A/B test needs to know which users saw what"
        )
    if ("card" in exposure_rows.columns) != ("card" in click_rows.columns):
        first, second = (
            ("exposures", "clicks") if "card" in exposure_rows.columns else ("clicks", "exposures")
        )
        raise SchemaError(f"the {first} name cards and the {second} do not; give both, or neither")
    remarks = [
        f"{log}: {remark}"
        for log, report in zip(("exposures", "clicks"), reports, strict=True)
        for remark in report.losses()
    ]
    return Logs(
        exposure_rows, click_rows, (*remarks, *remarks_on_zones(*(clock.zones for clock in clocks)))
    )


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
    log_roles = roles
    roles = roles if clicks is None else (*roles, *PLAIN_ROLES)
    rules = RowRules(has_options=False)
    columns_by_role = {role.name: named[role.name] for role in roles if role.name in named}
    for table in open_sources(source):
        columns = list(resolve(table.columns, table.where, log_roles, columns_by_role))
        first = first or (table.where, columns)
        if columns != first[1]:
            raise SchemaError(
                f"{table.where} has the columns {', '.join(columns)}, {first[0]} has "
                f"{', '.join(first[1])}; they must be the same"
            )
        typed &= table.typed
        needed = ("user", "timestamp")
        for rows in read_rows(
            [table], roles, columns_by_role, rules, report, needed=needed, clock=clock
        ):
            if clock.counts_steps:
                raise DataError(
                    f"{rows.where}: the timestamps are too small for dates; expected seconds since "
                    "1970 or dates such as 2024-05-01"
                )
            rows = rows if clicks is None else clicks.only(rows)
            if (rows.frame["timestamp"] % SECONDS_A_DAY != 0).any():
                n_copies += rows.frame.height - rows.frame.unique().height
            parts.append(_summed([rows_of(rows)]))
            if len(parts) > 1 and sum(part.height for part in parts) > MAX_UNMERGED_ROWS:
                parts = [_summed(parts)]
    if not parts:
        empty = {name: pl.Series(name, [], _EMPTY[name]) for name in first[1]} if first else {}
        return rows_of(TableRows(pl.DataFrame(empty), 1, None, first[0] if first else ""))
    daily = _summed([_with_settled_ids(_summed(parts), typed=typed)])
    report.remarks += clock.remarks
    if isinstance(source, str | Path) and (copies := remark_on_copies(RawFiles(source), ())):
        report.remarks.append(copies)
    if clicks is not None:
        clicks.finish()
    if n_copies:
        report.remarks.append(
            f"{n_copies:,} rows are exact copies of others, down to the second; if they were "
            "logged twice, remove them"
        )
    report.remarks += remarks_on_users(daily)
    return daily


_EMPTY = {
    "user": pl.String, "timestamp": pl.Int64, "arm": pl.String, "card": pl.String,
    "views": pl.Float64, "served": pl.String, "play_seconds": pl.Float64,
}  # fmt: skip


def _with_settled_ids(rows: pl.DataFrame, *, typed: bool) -> pl.DataFrame:
    """Write user ids that are whole numbers as such ("7.0" becomes "7")."""
    users = identity.settled(rows["user"], "user", typed=typed)
    return rows.with_columns(users.cast(pl.String))


def _summed(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Sum the counts over equal values of all other columns, in sorted order."""
    rows = pl.concat(parts)
    sums = [c for c in ("views", "clicks", "play_seconds") if c in rows.columns]
    keys = [c for c in rows.columns if c not in sums]
    return rows.group_by(keys, maintain_order=True).agg(pl.col(sums).sum()).sort(keys)


def _exposure_rows(rows: TableRows) -> pl.DataFrame:
    frame = rows.frame
    columns = _user_and_day(rows)
    for role in ("arm", "card", "served"):
        if role in frame.columns:
            if role == "card":
                _refuse(rows, frame[role].is_null(), "card", "a name")
            columns.append(frame[role])
    if "views" not in frame.columns:
        columns.append(pl.Series("views", [1], dtype=pl.Int64).new_from_index(0, frame.height))
        return pl.DataFrame(columns)
    views = frame["views"]
    invalid = views.is_null() | (views < 1) | (views != views.round())
    _refuse(rows, invalid, "views", "a whole number from 1 on")
    return pl.DataFrame([*columns, views.cast(pl.Int64)])


def _click_rows(rows: TableRows) -> pl.DataFrame:
    frame = rows.frame
    columns = _user_and_day(rows)
    if "card" in frame.columns:
        _refuse(rows, frame["card"].is_null(), "card", "a name")
        columns.append(frame["card"])
    columns.append(pl.Series("clicks", [1], dtype=pl.Int64).new_from_index(0, frame.height))
    if "play_seconds" in frame.columns:
        played = frame["play_seconds"].fill_null(0.0)
        _refuse(rows, played < 0, "play_seconds", "a number of seconds")
        columns.append(played)
    return pl.DataFrame(columns)


def _user_and_day(rows: TableRows) -> list[pl.Series]:
    days = (rows.frame["timestamp"] // SECONDS_A_DAY).cast(pl.Int32).cast(pl.Date).rename("day")
    return [id_texts(rows.frame["user"]), days]


def _refuse(rows: TableRows, invalid: pl.Series, role: str, expected: str) -> None:
    if invalid.any():
        row = int(invalid.arg_max() or 0)
        raise DataError(
            f"{rows.where}, row {rows.first_row + row:,}: {role} is {rows.frame[role][row]!r}; "
            f"expected {expected}"
        )


def parse_columns(texts: Sequence[str]) -> dict[str, str]:
    """Parse role -> column name from texts such as "user=customer_id".

    Raises:
        SettingsError: a text has another form.
    """
    columns = {}
    for text in texts:
        role, sign, column = text.partition("=")
        may_be_empty = role.strip() in ("kind", "outcome")
        if not sign or not role.strip() or not (column.strip() or may_be_empty):
            raise SettingsError(f"{text!r} does not name a column; write it as user=customer_id")
        columns[role.strip()] = column.strip()
    return columns
