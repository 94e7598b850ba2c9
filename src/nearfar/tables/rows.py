"""From a table's columns to typed rows: ids, numbers and times, by one set of rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from polars.exceptions import PolarsError

from nearfar.core import identity
from nearfar.core.errors import DataError, SchemaError
from nearfar.tables.clock import Clock
from nearfar.tables.columns import OPTIONS, Parsed, Role
from nearfar.tables.numbers import NumberReader
from nearfar.tables.report import ReadReport
from nearfar.tables.rules import DROP, RowRules, missing_value, on_nameless

LARGEST_EXACT_FLOAT32 = 2.0**24


@dataclass(frozen=True, eq=False)
class TableRows:
    """Some rows of a table.

    Attributes:
        frame: columns by role: ids as Int64 or String, numbers as Float64, times as Int64 seconds,
            text as String; null where a value is missing.
        first_row: the number of the first row, counted from 1 without the header.
        dropped: which rows to leave out as unreadable; None for none.
        where: how messages name the table.
    """

    frame: pl.DataFrame
    first_row: int
    dropped: pl.Series | None
    where: str


class RowReader:
    """Types the rows of one table, block after block.

    Args:
        where: how messages name the table.
        roles: the roles of the columns, by name.
        columns: the column of each role.
        rules: what to do with unreadable values.
        report: filled with conversions and rows left out.
        typed: whether columns have types of their own. If not, a block whose ids all spell
            integers gets them as Int64.
        decimal_comma: whether "4,5" may be a number.
        needed: roles whose values must not be missing either.
        clock: reads the times, in the same way as in the tables before; None for a new one.
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
    ) -> None:
        self._where = where
        self._needed = frozenset(needed)
        self._roles = [role for role in roles if role.name in columns]
        self._columns = dict(columns)
        self._rules = rules
        self._report = report
        self._typed = typed
        self._numbers = NumberReader(where, report, typed=typed, decimal_comma=decimal_comma)
        self._clock = clock or Clock(where, rules.time_unit, rules.time_format)
        self._n_rows = self._n_dropped = 0
        self._n_nameless: Counter[str] = Counter()

    def read(self, frame: pl.DataFrame, first_row: int) -> TableRows:
        """The rows of a block.

        Raises:
            DataError: a value cannot be read, and bad rows are refused; with its row.
            SchemaError: a column has a type that its role cannot have.
        """
        values = []
        dropped: pl.Series | None = None
        nameless: pl.Series | None = None
        for role in self._roles:
            column = self._columns[role.name]
            parsed = self._parsed(role, frame[column], column)
            bad, word = parsed.bad, "unreadable"
            if role.name in self._needed and parsed.values.null_count():
                bad = parsed.values.is_null()
                word = "missing" if role.kind == "id" else "missing or unreadable"
            if bad.any() and self._rules.bad_rows == "refuse":
                at = int(bad.arg_max() or 0)
                raise self._unreadable(role, column, parsed, at, first_row + at)
            if role.name in self._needed:
                self._n_nameless[role.name] += parsed.values.null_count()
            if bad.any() and self._rules.bad_rows == "drop":
                new = bad if dropped is None else bad & ~dropped
                if n_new := int(new.sum()):
                    self._report.left_out[f"the {role.name} is {word}"] += n_new
                dropped = bad if dropped is None else dropped | bad
                if role.kind == "id" and parsed.given is not None:
                    empty = parsed.given.is_null()
                    nameless = empty if nameless is None else nameless | empty
            values.append(parsed.values.rename(role.name))
        if dropped is not None:
            unreadable = dropped if nameless is None else dropped & ~nameless
            self._n_dropped += int(unreadable.sum())
        self._count(frame.height)
        return TableRows(pl.DataFrame(values), first_row, dropped, self._where)

    def finish(self) -> None:
        """Check what only the whole table can tell.

        Raises:
            DataError: too many rows were dropped for the table to be understood, or numbers have
                decimal points in some rows and decimal commas in others.
        """
        if self._n_dropped > self._rules.max_dropped_share * self._n_rows:
            raise DataError(
                f"{self._where}: {self._n_dropped:,} of {self._n_rows:,} rows are unreadable, too "
                "many to leave out; look at its columns with nearfar data inspect, and name "
                "them, the time's unit or format"
            )
        shares = {role: n / self._n_rows for role, n in self._n_nameless.items() if n}
        self._report.remarks += on_nameless(self._where, self._columns, shares)
        self._numbers.finish()

    def _count(self, n_rows: int) -> None:
        self._n_rows += n_rows
        if self._clock.form:
            self._report.times = self._clock.form
            self._report.counts_steps = self._clock.counts_steps

    def _parsed(self, role: Role, values: pl.Series, column: str) -> Parsed:
        if role.kind == "id":
            return self._ids(role, values, column)
        if role.kind == "time":
            return self._clock.read(values)
        if role.kind == "number":
            return self._numbers.read(role.name, values, column)
        if role.kind == "any" or (role.kind == "tags" and isinstance(values.dtype, pl.List)):
            return Parsed(values, pl.repeat(False, len(values), eager=True), "a list was expected")
        if role.kind == "hint" and values.dtype.is_nested():
            values = pl.repeat(None, len(values), dtype=pl.String, eager=True)
        elif role.kind == "hint" and values.dtype.is_numeric():
            values = _signs(values)
        if role.kind in ("word", "hint") and not values.dtype.is_nested():
            values = values.cast(pl.String, strict=False)
        return self._texts(values, column)

    def _unreadable(self, role: Role, column: str, parsed: Parsed, at: int, row: int) -> DataError:
        value = (parsed.values if parsed.given is None else parsed.given)[at]
        if value is None:
            return missing_value(self._where, row, role.name, has_options=self._rules.has_options)
        named = role.name if column == role.name else f"{role.name} (column {column!r})"
        hint = ""
        if self._rules.has_options:
            hint = f"; leave such rows out with {DROP}"
            if role.kind == "id" and isinstance(value, str):
                hint += ", or take such words for ids with --literal-ids"
            if role.kind == "number" and role.name in OPTIONS:
                hint += f", or name another column with {OPTIONS[role.name]} ('' for none)"
            if role.kind == "time":
                hint += ", or say how times are written with --time-unit or --time-format"
        return DataError(
            f"{self._where}, row {row}: the {named} is {value!r}; {parsed.expected}{hint}"
        )

    def _ids(self, role: Role, values: pl.Series, column: str) -> Parsed:
        kind = values.dtype
        expected = "an id was expected, and this stands for a missing value"
        if kind in (pl.Categorical, pl.Enum, pl.Binary):
            values = self._as_text(role, values, column)
        if values.dtype == pl.String:
            if not self._typed:
                numbers = identity.canonical_integers(values)
                if numbers is not None:
                    return Parsed(numbers, numbers.is_null(), expected)
            self._refuse_quoted_ids(role, values)
            trimmed = identity.stripped(values)
            trimmed = _null_where(trimmed == "", trimmed)
            self._tell_trimmed(role.name, values, trimmed)
            bad = pl.repeat(False, len(trimmed), eager=True)
            if not self._rules.literal_ids:
                bad = identity.missing_words(trimmed).fill_null(False)
                if (short := identity.shortened(trimmed)).any():
                    bad |= short
                    expected = "an id was expected, and a spreadsheet shortened this one; export "
                    expected += "ids as text"
            return Parsed(_null_where(bad, trimmed), bad, expected, trimmed)
        if kind.is_integer():
            numbers = identity.of_integers(values)
            return Parsed(numbers, pl.repeat(False, len(values), eager=True), expected, numbers)
        if kind.is_float() or kind.is_decimal():
            numbers = identity.integers_of_floats(values)
            values = values.cast(pl.Float64)
            missing = values.is_nan().fill_null(True)
            if kind == pl.Float32:
                numbers = _null_where(values.abs() > LARGEST_EXACT_FLOAT32, numbers)
            bad = numbers.is_null() & ~missing
            if len(numbers) > numbers.null_count():
                self._report.converted[f"{role.name} ids read from floats as integers"] += int(
                    len(numbers) - numbers.null_count()
                )
            expected = "a whole number that a float holds exactly was expected"
            return Parsed(numbers, bad, expected, _null_where(missing, values))
        if kind == pl.Null:
            return Parsed(values.cast(pl.String), values.is_not_null(), expected)
        raise SchemaError(
            f"{self._where}: {role.name} ids in column {column!r} are {kind}; make them integers "
            "or text"
        )

    def _tell_trimmed(self, role: str, given: pl.Series, trimmed: pl.Series) -> None:
        """Count what became of text ids."""
        changed = given.filter((trimmed != given).fill_null(trimmed.is_null()))
        formulas = changed.str.strip_chars().str.starts_with('="').fill_null(False)
        accents = (changed.str.normalize("NFC") != changed).fill_null(False) & ~formulas
        for what, n in (
            (f'{role} ids as spreadsheets write them (="007") read as text', int(formulas.sum())),
            (f"accents of {role} ids joined to their letters", int(accents.sum())),
            (
                f"blanks around {role} ids dropped",
                int((changed.is_not_null() & ~formulas & ~accents).sum()),
            ),
        ):
            if n:
                self._report.converted[what] += n

    def _as_text(self, role: Role, values: pl.Series, column: str) -> pl.Series:
        try:
            return values.cast(pl.String)
        except PolarsError:
            raise SchemaError(
                f"{self._where}: {role.name} ids in column {column!r} are bytes that are not UTF-8 "
                "text; make them integers or text"
            ) from None

    def _refuse_quoted_ids(self, role: Role, values: pl.Series) -> None:
        """Ids that all stand in quotes are of a file whose quotes were taken for characters."""
        known = values.drop_nulls()
        if self._typed or not len(known) or not str(known[0]).startswith('"'):
            return
        if (known.str.starts_with('"') & known.str.ends_with('"')).all():
            raise DataError(
                f"{self._where}: all {role.name} ids stand in double quotes ({known[0]}); read "
                "them with --quoting double"
            )

    def _texts(self, values: pl.Series, column: str) -> Parsed:
        kind = values.dtype
        if kind.is_nested() or kind.is_temporal() or kind.is_float():
            raise SchemaError(f"{self._where}: column {column!r} is {kind}; text was expected")
        text = values.cast(pl.String).str.strip_chars()
        text = _null_where(text == "", text)
        return Parsed(text, pl.repeat(False, len(text), eager=True), "text was expected")


def _signs(numbers: pl.Series) -> pl.Series:
    """Numbers as "-2", "0", "1" and "2", by sign, which is cheaper than their digits."""
    number = pl.lit(numbers)
    known = number.is_not_null() & number.cast(pl.Float64).is_not_nan()
    of_sign = pl.when(number < 0).then(pl.lit("-2")).when(number == 0).then(pl.lit("0"))
    sign = of_sign.when(number == 1).then(pl.lit("1")).otherwise(pl.lit("2"))
    return pl.select(pl.when(known).then(sign).alias(numbers.name)).to_series()


def _null_where(bad: pl.Series, values: pl.Series) -> pl.Series:
    return pl.select(pl.when(~bad.fill_null(False)).then(values).alias(values.name)).to_series()
