"""Build a Log from typed blocks of rows, in memory bounded by the kept rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import polars as pl

from nearfar.core.errors import DataError, EmptyDataError
from nearfar.data.contradictions import count_contradictions
from nearfar.data.events import OPTIONAL, FilterStep, Log, compacted, with_details
from nearfar.data.filters import Filters, row_mask
from nearfar.data.id_coder import IdCoder
from nearfar.data.plain_events import event_filter, how_to_keep
from nearfar.data.remarks import remarks_on
from nearfar.tables.columns import Columns
from nearfar.tables.report import ReadReport
from nearfar.tables.roles import OPTIONS
from nearfar.tables.rows import TableRows
from nearfar.tables.rules import DROP, BadRows, extent_of, missing_value


class LogBuilder:
    """Check, filter and encode blocks of rows; `log` returns the result.

    Args:
        name: the data's name in messages.
        filters: the filters of single rows (rating, weight, time) are applied to each block.
        typed: keep text ids as text even if all are integers, for data with types.
        bad_rows: whether to refuse or drop rows with a missing or negative rating or time, or a
            missing weight, that no filter leaves out. A weight of at most 0 is never an event. A
            missing weight counts as 1 if `columns` does not name the column.
        report: updated with the rows left out.
        kinds: the weight of each kind of event; rows then have a column kind.
        columns: the column names that the caller set.
        literal_ids: keep text ids unchanged.
    """

    def __init__(
        self,
        name: str,
        filters: Filters | None = None,
        *,
        typed: bool = False,
        bad_rows: BadRows = "refuse",
        report: ReadReport | None = None,
        kinds: Mapping[str, float] | None = None,
        columns: Columns | None = None,
        literal_ids: bool = False,
    ) -> None:
        self.name = name
        self.filters = filters or Filters()
        self.report = report or ReadReport()
        self._event_filter = event_filter(kinds, columns or Columns(), self.report)
        self._has_named_weights = columns is not None and bool(columns.weight)
        self._bad_rows = bad_rows
        self.n_read = 0
        self._has_no_events = self._has_bad_rows = False
        self._users = IdCoder("user", typed=typed, literal=literal_ids)
        self._items = IdCoder("item", typed=typed, literal=literal_ids)
        self._blocks: list[pl.DataFrame] = []

    def add_all(self, blocks: Iterable[TableRows]) -> None:
        """Add all blocks of a reader."""
        for rows in blocks:
            self.name = rows.where
            self.add(rows.frame, rows.first_row, rows.dropped)

    def add(
        self, rows: pl.DataFrame, first_row: int | None = None, dropped: pl.Series | None = None
    ) -> None:
        """Add rows; ids are Int64 or String, the same type in every block.

        Args:
            rows: the columns user, item and optionally rating, timestamp, weight.
            first_row: the number of the first row; by default it follows the last block.
            dropped: mask of the rows to leave out.

        Raises:
            DataError: bad rows are refused, and an id, a rating, a time or a weight is missing or
                a rating is negative in a row that no filter leaves out; the message has the row.
        """
        first = self.n_read + 1 if first_row is None else first_row
        self.n_read += rows.height
        for column in ("user", "item"):
            if rows[column].null_count() and dropped is None:
                bad = rows[column].is_null()
                extent = extent_of(bad, first)
                raise missing_value(self.name, first + _first(bad), column, extent=extent)
        self._has_bad_rows |= dropped is not None and bool(dropped.any())
        numbers = np.arange(first, first + rows.height)
        if dropped is not None:  # so that no row is left out, and counted, for two reasons
            rows, numbers = rows.filter(~dropped), numbers[~dropped.to_numpy()]
        rows = rows if self._has_named_weights else self._fill_weights(rows)
        rows, no_event = self._event_filter.read(rows)
        rows = count_contradictions(rows, no_event, self.report)
        keep = self._keep_mask(rows, numbers, no_event)
        if no_event is not None:
            rows, keep = rows.filter(~no_event), keep.filter(~no_event)
        coded = rows.with_columns(
            self._users.encode(rows["user"]).alias("user"),
            self._items.encode(rows["item"]).alias("item"),
            *(pl.col(c).cast(t) for c, t in OPTIONAL.items() if c in rows.columns),
        )
        self._blocks.append(coded if keep.all() else coded.filter(keep))

    def _keep_mask(
        self, rows: pl.DataFrame, numbers: np.ndarray, no_event: pl.Series | None
    ) -> pl.Series:
        """Return a mask of the rows to keep; refuse or drop bad rows that the filters keep.

        Args:
            rows: the rows.
            numbers: their row numbers in the file.
            no_event: mask of the rows that are left out anyway.
        """
        optional = [pl.col(c).cast(t) for c, t in OPTIONAL.items() if c in rows.columns]
        mask = row_mask(rows.with_columns(optional), self.filters, self.name)
        unfiltered = pl.repeat(True, rows.height, eager=True) if no_event is None else ~no_event
        keep = unfiltered if mask is None else unfiltered & mask.fill_null(False)
        for column in OPTIONAL:
            if column not in rows.columns:
                continue
            values = rows[column]
            bad = values.is_null()
            if column == "rating":
                bad |= (values < 0).fill_null(False)
            if column == "weight":
                self._count_nonpositive(values.cast(OPTIONAL[column]), unfiltered)
                bad = bad & unfiltered if self.filters.min_weight is None else bad & keep
            else:
                bad = bad & keep
            if not bad.any():
                continue
            if self._bad_rows != "drop":
                at = _first(bad)
                raise self._bad_value_error(column, values[at], int(numbers[at]))
            self._has_bad_rows = True
            self.report.left_out[f"the {column} is missing or negative"] += int(bad.sum())
            keep = keep & ~bad
        return keep

    def _fill_weights(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows in which a missing weight is 1: a view beside purchases has no quantity."""
        if "weight" not in rows.columns or not (n := rows["weight"].null_count()):
            return rows
        column = self.report.columns.get("weight", "weight")
        self.report.converted[f"missing values of {column!r} count as 1"] += n
        return rows.with_columns(pl.col("weight").fill_null(1))

    def _count_nonpositive(self, weights: pl.Series, unfiltered: pl.Series) -> None:
        """Report the rows whose weight is 0 or negative."""
        column = self.report.columns.get("weight")
        name, hint = (column, f" ({how_to_keep('weight')})") if column else ("the weight", "")
        for reason, no_event in (
            (f"{name} is 0: no event{hint}", weights == 0),
            (f"{name} is negative: a return, no event{hint}", weights < 0),
        ):
            if n_rows := int((unfiltered & no_event.fill_null(False)).sum()):
                self._has_no_events = True
                self.report.left_out[reason] += n_rows

    def _bad_value_error(self, column: str, value: float | None, row: int) -> DataError:
        if value is None:
            return missing_value(self.name, row, column)
        return DataError(
            f"{self.name}, row {row}: the {column} is {value:g}; a number of at least "
            f"0 was expected; leave such rows out with --min-{column} 0 or {DROP}, or keep them "
            f"without their {column} with {OPTIONS[column]} ''"
        )

    def log(self, items: pl.DataFrame | None = None) -> Log:
        """Return the log of all rows, with the item details of `items` (column `item`, ...).

        Raises:
            EmptyDataError: no row was added.
            DataError: an id in scientific notation may have lost digits.
        """
        if not self.n_read:
            raise EmptyDataError(f"{self.name} has no rows; at least one event was expected")
        self._event_filter.check(self.name)
        events = pl.concat(self._blocks, rechunk=True)
        self._blocks.clear()
        user_ids, user_codes = self._users.vocabulary()
        item_ids, item_codes = self._items.vocabulary()
        for column, codes in (("user", user_codes), ("item", item_codes)):
            self._report_rewritten(events[column])
            if codes is not None:
                merged = codes.astype(np.uint32)[events[column].to_numpy()]
                events = events.with_columns(pl.Series(column, merged))
        log = compacted(Log(events, user_ids, item_ids, self.name, read=self.report))
        self.report.n_rows = self.n_read
        self.report.n_kept = log.n_events
        self.report.remarks += remarks_on(log, self.filters)
        conditions = ["unreadable rows"] if self._has_bad_rows else []
        conditions += ["weight > 0"] if self._has_no_events else []
        conditions += [self._event_filter.condition] if self._event_filter.condition else []
        conditions += [self.filters.row_step] if self.filters.row_step else []
        n_lost = self.n_read - log.n_events
        if n_lost or conditions:
            step = FilterStep(
                ", ".join(conditions) or "unreadable rows",
                n_lost,
                len(user_ids) - log.n_users,
                len(item_ids) - log.n_items,
            )
            log = replace(log, steps=(step,))
        return replace(log, item_ids=with_details(log.item_ids, items), read=self.report)

    def _report_rewritten(self, codes: pl.Series) -> None:
        ids = {"user": self._users, "item": self._items}[codes.name]
        if ids.rewritten is not None and ids.rewritten.any():
            n = int(ids.rewritten.gather(codes).sum())
            self.report.converted[
                f"{codes.name} ids such as {ids.example!r} read as whole numbers"
            ] += n


def _first(bad: pl.Series) -> int:
    return int(bad.arg_max() or 0)
