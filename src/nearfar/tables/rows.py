"""Convert the columns of a table to typed ids, numbers, times and text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl
from polars.exceptions import PolarsError

from nearfar.core import identity
from nearfar.core.errors import DataError, SchemaError
from nearfar.tables.clock import Clock
from nearfar.tables.numbers import NumberReader
from nearfar.tables.report import ReadReport
from nearfar.tables.roles import OPTIONS, Parsed, Role
from nearfar.tables.rules import (
    DROP,
    LITERAL,
    RowRules,
    extent_of,
    missing_value,
    remarks_on_missing_ids,
)

LARGEST_EXACT_FLOAT32 = 2.0**24


@dataclass(frozen=True, eq=False)
class TableRows:
    """A block of typed rows.

    Attributes:
        frame: one column per role: ids as Int64 or String, numbers as Float64, times as Int64
            seconds, text as String; null for a missing value.
        first_row: the number of the first row, from 1 without the header.
        dropped: mask of the unreadable rows to leave out; None for none.
        where: the table's name in messages.
    """

    frame: pl.DataFrame
    first_row: int
    dropped: pl.Series | None
    where: str


class RowReader:
    """Convert the rows of a table to types, block by block.

    Args:
        where: the table's name in messages.
        roles: the roles to read.
        columns: the column of each role.
        rules: the rules for unreadable values.
        report: updated with conversions and rows left out.
        typed: whether the table's columns have types. If not, a block of text ids that are all
            integers becomes Int64.
        decimal_comma: whether "4,5" may be a number.
        needed: the roles whose values must not be missing.
        clock: the reader of times, if earlier tables of the log share it; None for a new one.
        others: other columns that could have a role, for messages.
    """

    def __init__(
        self,
        where: str,
        roles: Sequence[Role],
        columns: Mapping[str, str],
        rules: RowRules,
        report: ReadReport,
        *,
        typed: bool = True,
        decimal_comma: bool = False,
        needed: Sequence[str] = (),
        clock: Clock | None = None,
        others: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self._where = where
        self._needed = frozenset(needed)
        self._roles = [role for role in roles if role.name in columns]
        self._columns = dict(columns)
        self._rules, self._others = rules, others
        self._report = report
        self._typed = typed
        self._numbers = NumberReader(where, report, typed=typed, decimal_comma=decimal_comma)
        self._clock = clock or Clock(where, rules.time_unit, rules.time_format)
        self._n_rows = self._n_dropped = 0
        self._n_missing_ids: Counter[str] = Counter()

    def read(self, frame: pl.DataFrame, first_row: int) -> TableRows:
        """Convert the rows of a block.

        Raises:
            DataError: a value cannot be read and bad rows are refused; the message has the row.
            SchemaError: a column has a type that its role cannot have.
        """
        values = []
        dropped: pl.Series | None = None
        missing_id: pl.Series | None = None
        for role in self._roles:
            column = self._columns[role.name]
            parsed = self._parse(role, frame[column], column)
            bad, problem = parsed.bad, "unreadable"
            if role.name in self._needed and parsed.values.null_count():
                bad = parsed.values.is_null()
                problem = "missing" if role.kind == "id" else "missing or unreadable"
            if bad.any() and self._rules.bad_rows == "refuse":
                at = int(bad.arg_max() or 0)
                extent = extent_of(bad, first_row)
                raise self._unreadable_error(role, column, parsed, at, first_row + at, extent)
            if role.name in self._needed:
                self._n_missing_ids[role.name] += parsed.values.null_count()
            if bad.any() and self._rules.bad_rows == "drop":
                new = bad if dropped is None else bad & ~dropped
                if n_new := int(new.sum()):
                    self._report.left_out[f"the {role.name} is {problem}"] += n_new
                dropped = bad if dropped is None else dropped | bad
                if role.kind == "id" and parsed.given is not None:
                    empty = parsed.given.is_null()
                    if parsed.given.dtype == pl.String:
                        empty |= identity.missing_words(parsed.given).fill_null(False)
                    missing_id = empty if missing_id is None else missing_id | empty
            values.append(parsed.values.rename(role.name))
        if dropped is not None:
            unreadable = dropped if missing_id is None else dropped & ~missing_id
            self._n_dropped += int(unreadable.sum())
        self._update_report(frame.height)
        return TableRows(pl.DataFrame(values), first_row, dropped, self._where)

    def finish(self) -> None:
        """Check the table as a whole, after its last block.

        Raises:
            DataError: too many rows are unreadable, or numbers have decimal points in some rows and
                decimal commas in others.
        """
        if self._n_dropped > self._rules.max_dropped_share * self._n_rows:
            raise DataError(
                f"{self._where}: {self._n_dropped:,} of {self._n_rows:,} rows are unreadable, too "
                "many to leave out; look at the columns with nearfar data inspect, then set the "
                "column names, or the unit or format of times"
            )
        shares = {role: n / self._n_rows for role, n in self._n_missing_ids.items() if n}
        self._report.remarks += remarks_on_missing_ids(self._where, self._columns, shares)
        self._numbers.finish()

    def _update_report(self, n_rows: int) -> None:
        self._n_rows += n_rows
        if self._clock.form:
            self._report.times = self._clock.form
            self._report.counts_steps = self._clock.counts_steps

    def _parse(self, role: Role, values: pl.Series, column: str) -> Parsed:
        if role.kind == "id":
            return self._parse_ids(role, values, column)
        if role.kind == "time":
            return self._clock.read(values)
        if role.kind == "number":
            return self._numbers.read(role.name, values, column)
        if role.kind == "any" or (role.kind == "tags" and isinstance(values.dtype, pl.List)):
            return Parsed(values, pl.repeat(False, len(values), eager=True), "a list was expected")
        if role.kind == "hint" and not _has_text(values.dtype):
            values = pl.repeat(None, len(values), dtype=pl.String, eager=True)
        elif role.kind == "hint" and values.dtype.is_numeric():
            values = _signs(values)
        if role.kind in ("word", "hint") and not values.dtype.is_nested():
            values = values.cast(pl.String, strict=False)
        return self._parse_text(values, column)

    def _unreadable_error(
        self, role: Role, column: str, parsed: Parsed, at: int, row: int, extent: str
    ) -> DataError:
        value = (parsed.values if parsed.given is None else parsed.given)[at]
        if value is None:
            return missing_value(
                self._where, row, role.name, extent=extent,
                has_options=self._rules.has_options, others=self._others.get(role.name, ()),
            )  # fmt: skip
        named = role.name if column == role.name else f"{role.name} (column {column!r})"
        hint = ""
        if self._rules.has_options:
            hint = f"; leave such rows out with {DROP}"
            if role.kind == "id" and isinstance(value, str):
                hint += f", or read such words as ids with {LITERAL}"
            if role.kind == "number" and role.name in OPTIONS:
                hint += f", or name another column with {OPTIONS[role.name]} ('' for none)"
            if role.kind == "time":
                hint += ", or set the unit or format of times with --time-unit or --time-format"
        return DataError(
            f"{self._where}, row {row}: the {named} is {value!r}; {parsed.expected}{hint}{extent}"
        )

    def _parse_ids(self, role: Role, values: pl.Series, column: str) -> Parsed:
        dtype = values.dtype
        expected = "an id was expected, and this word means a missing value"
        if dtype in (pl.Categorical, pl.Enum, pl.Binary):
            values = self._as_text(role, values, column)
        if values.dtype == pl.String:
            if not self._typed:
                numbers = identity.canonical_integers(values)
                if numbers is not None:
                    return Parsed(numbers, numbers.is_null(), expected)
            self._refuse_quoted_ids(role, values)
            trimmed = identity.stripped(values)
            trimmed = _null_where(trimmed == "", trimmed)
            self._report_trimmed(role.name, values, trimmed)
            bad = pl.repeat(False, len(trimmed), eager=True)
            if not self._rules.literal_ids:
                bad = identity.missing_words(trimmed).fill_null(False)
                if (short := identity.shortened(trimmed)).any():
                    bad |= short
                    expected = "a spreadsheet shortened this id; export ids as text"
            return Parsed(_null_where(bad, trimmed), bad, expected, trimmed)
        if dtype.is_integer():
            numbers = identity.of_integers(values)
            return Parsed(numbers, pl.repeat(False, len(values), eager=True), expected, numbers)
        if dtype.is_float() or dtype.is_decimal():
            numbers = identity.integers_of_floats(values)
            values = values.cast(pl.Float64)
            missing = values.is_nan().fill_null(True)
            if dtype == pl.Float32:
                numbers = _null_where(values.abs() >= LARGEST_EXACT_FLOAT32, numbers)
            bad = numbers.is_null() & ~missing
            if n_ids := len(numbers) - numbers.null_count():
                self._report.converted[f"{role.name} ids changed from floats to integers"] += n_ids
            expected = "a whole number that a float holds exactly was expected"
            return Parsed(numbers, bad, expected, _null_where(missing, values))
        if dtype == pl.Null:
            return Parsed(values.cast(pl.String), values.is_not_null(), expected)
        raise SchemaError(
            f"{self._where}: {role.name} ids in column {column!r} are {dtype}; make them integers "
            "or text"
        )

    def _report_trimmed(self, role: str, given: pl.Series, trimmed: pl.Series) -> None:
        """Count the text ids that were changed."""
        changed = given.filter((trimmed != given).fill_null(trimmed.is_null()))
        formulas = changed.str.strip_chars().str.starts_with('="').fill_null(False)
        accents = (changed.str.normalize("NFC") != changed).fill_null(False) & ~formulas
        for change, n in (
            (f'{role} ids in the form ="007" of spreadsheets read as text', int(formulas.sum())),
            (f"accents of {role} ids joined to their letters", int(accents.sum())),
            (
                f"blanks around {role} ids removed",
                int((changed.is_not_null() & ~formulas & ~accents).sum()),
            ),
        ):
            if n:
                self._report.converted[change] += n

    def _as_text(self, role: Role, values: pl.Series, column: str) -> pl.Series:
        try:
            return values.cast(pl.String)
        except PolarsError:
            raise SchemaError(
                f"{self._where}: {role.name} ids in column {column!r} are bytes that are not UTF-8 "
                "text; make them integers or text"
            ) from None

    def _refuse_quoted_ids(self, role: Role, values: pl.Series) -> None:
        """Raise if all ids are in double quotes: the file's quoting was not recognised."""
        known = values.drop_nulls()
        if self._typed or not len(known) or not str(known[0]).startswith('"'):
            return
        if (known.str.starts_with('"') & known.str.ends_with('"')).all():
            raise DataError(
                f"{self._where}: all {role.name} ids are in double quotes ({known[0]}); "
                "remove the quotes with --quoting double"
            )

    def _parse_text(self, values: pl.Series, column: str) -> Parsed:
        dtype = values.dtype
        if dtype.is_nested() or dtype.is_temporal() or dtype.is_float():
            raise SchemaError(f"{self._where}: column {column!r} is {dtype}; text was expected")
        text = values.cast(pl.String).str.strip_chars()
        text = _null_where(text == "", text)
        return Parsed(text, pl.repeat(False, len(text), eager=True), "text was expected")


def _has_text(dtype: pl.DataType) -> bool:
    """Return whether the values of a type can be read as text."""
    plain = (pl.String, pl.Categorical, pl.Enum, pl.Boolean, pl.Date, pl.Datetime, pl.Null)
    return dtype.is_numeric() or dtype.base_type() in plain


def _signs(numbers: pl.Series) -> pl.Series:
    """Return "-2", "0", "1" or "2" for each number: cheaper than its digits, with the same sign."""
    number = pl.lit(numbers)
    is_known = number.is_not_null() & number.cast(pl.Float64).is_not_nan()
    sign = pl.when(number < 0).then(pl.lit("-2")).when(number == 0).then(pl.lit("0"))
    sign = sign.when(number == 1).then(pl.lit("1")).otherwise(pl.lit("2"))
    return pl.select(pl.when(is_known).then(sign).alias(numbers.name)).to_series()


def _null_where(bad: pl.Series, values: pl.Series) -> pl.Series:
    return pl.select(pl.when(~bad.fill_null(False)).then(values).alias(values.name)).to_series()
