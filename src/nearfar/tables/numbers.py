"""Read numbers with decimal commas, thousands separators and missing values."""

from __future__ import annotations

import polars as pl

from nearfar.core import identity
from nearfar.core.errors import DataError, SchemaError
from nearfar.tables.report import ReadReport
from nearfar.tables.roles import Parsed

LARGEST = 3.4e38
"""Ratings and weights are kept as 32-bit floats."""
GROUPED = r"^[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$"
"""Commas as thousands separators."""
GROUPED_BOTH = r"^[+-]?\d{1,3}(?:(?:\.\d{3})+,\d+|(?:,\d{3})+\.\d+)$"
"""One sign as thousands separator, the other as decimal sign."""
DECIMAL_COMMA = r"^[+-]?\d+,\d+$"
SURE_DECIMAL_COMMA = r"^[+-]?\d+,(?:\d{1,2}|\d{4,})$"
"""A comma before three digits may separate thousands."""
POINT, COMMA, GROUPS = "a decimal point", "a decimal comma", "a comma before three digits"


class NumberReader:
    """Read the columns of numbers of one table, with the same rules for all blocks.

    Args:
        where: the table's name in messages.
        report: updated with conversions.
        typed: whether the table's columns have types.
        decimal_comma: whether "4,500" may be 4.5, because commas do not separate cells.
    """

    def __init__(
        self, where: str, report: ReadReport, *, typed: bool = True, decimal_comma: bool = False
    ) -> None:
        self._where = where
        self._report = report
        self._typed = typed
        self._decimal_comma = decimal_comma and not typed
        self._signs: dict[str, set[str]] = {}
        self._n_ambiguous: dict[str, int | None] = {}

    def read(self, role: str, values: pl.Series, column: str) -> Parsed:
        """Return the numbers of a block (Float64).

        Raises:
            SchemaError: the column's type is not a number or text.
        """
        dtype = values.dtype
        if dtype == pl.String:
            parsed = self._parse_text(role, values)
        elif dtype.is_numeric() or dtype in (pl.Boolean, pl.Null):
            numbers = values.cast(pl.Float64)
            if self._decimal_comma and (numbers != numbers.round()).any():
                self._signs.setdefault(role, set()).add(POINT)
            bad = _too_large(numbers)
            parsed = Parsed(
                _null_where(bad | numbers.is_nan(), numbers), bad, "a number was expected", numbers
            )
        else:
            raise SchemaError(f"{self._where}: column {column!r} is {dtype}; numbers were expected")
        if self._decimal_comma:
            self._count_ambiguous(column, parsed.values)
        return parsed

    def finish(self) -> None:
        """Check the numbers of the whole table, after its last block.

        Raises:
            DataError: numbers have decimal points in some rows and decimal commas in others.
        """
        for role, signs in self._signs.items():
            if COMMA in signs and len(signs) > 1:
                others = " or ".join(sorted(signs - {COMMA}))
                raise DataError(
                    f"{self._where}: numbers of the {role} have {COMMA} in some rows and {others} "
                    "in others; write all of them in one way"
                )
        for column, n in self._n_ambiguous.items():
            if n:
                self._report.remarks.append(
                    f"all {n:,} fractions in {column!r} of {self._where} have three digits after "
                    "the point, which is read as a decimal point; if it separates thousands, "
                    "remove it"
                )

    def _count_ambiguous(self, column: str, numbers: pl.Series) -> None:
        """Count numbers such as 1.234, unless another number shows that points are decimal."""
        fractions = numbers.filter(numbers != numbers.round())
        thousandths = (fractions * 1000 - (fractions * 1000).round()).abs() < 1e-6
        hundredths = (fractions * 100 - (fractions * 100).round()).abs() < 1e-6
        ambiguous = thousandths & ~hundredths & (fractions.abs() >= 1) & (fractions.abs() < 1000)
        n_before = self._n_ambiguous.get(column, 0)
        if n_before is None or (~ambiguous).any():
            self._n_ambiguous[column] = None
        else:
            self._n_ambiguous[column] = n_before + len(fractions)

    def _parse_text(self, role: str, values: pl.Series) -> Parsed:
        expected = "a number was expected"
        signs = self._signs.setdefault(role, set())
        numbers = values.cast(pl.Float64, strict=False)
        text = values
        if numbers.null_count() > values.null_count() or numbers.is_nan().any():
            text = identity.stripped(values)
            text = _null_where(identity.missing_words(text) | (text == ""), text)
            numbers = text.cast(pl.Float64, strict=False)
            unread = text.is_not_null() & numbers.is_null()
            grouped = text.str.contains(GROUPED_BOTH if self._decimal_comma else GROUPED)
            if role == "rating" and not self._decimal_comma:
                # A rating of 4,500 is not likely to mean thousands.
                if (grouped & unread).any():
                    expected += ", and a comma before three digits may be a decimal sign or not"
                grouped &= False
            if (grouped := grouped.fill_null(False) & unread).any():
                self._report.converted["thousands separators removed"] += int(grouped.sum())
                if text.filter(grouped).str.contains(r"^[^.]*,\d{3}$").any():
                    signs.add(GROUPS)
                text = self._without_separators(text).zip_with(grouped, text)
                numbers = text.cast(pl.Float64, strict=False)
                unread &= ~grouped
            form = DECIMAL_COMMA if self._decimal_comma else SURE_DECIMAL_COMMA
            comma = unread & text.str.contains(form).fill_null(False)
            if comma.any():
                signs.add(COMMA)
                self._report.converted["decimal commas read as decimal points"] += int(comma.sum())
                points = text.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
                numbers = numbers.zip_with(~comma, points)
        if values.str.contains(r"^[^,]*\.[^,]*$").any():
            signs.add(POINT)
        bad = (text.is_not_null() & numbers.is_null()) | numbers.is_nan().fill_null(False)
        bad |= _too_large(numbers)
        return Parsed(_null_where(bad, numbers), bad, expected, text)

    def _without_separators(self, text: pl.Series) -> pl.Series:
        """Remove thousands separators; a decimal comma becomes a point."""
        without_commas = text.str.replace_all(",", "", literal=True)
        if not self._decimal_comma:
            return without_commas
        ends_with_decimals = text.str.contains(r",\d+$").fill_null(False)
        decimal_point = text.str.replace_all(".", "", literal=True).str.replace(",", ".")
        return decimal_point.zip_with(
            ends_with_decimals & ~text.str.contains(r",.*\."), without_commas
        )


def _too_large(numbers: pl.Series) -> pl.Series:
    return ((numbers.abs() > LARGEST) & ~numbers.is_nan()).fill_null(False)


def _null_where(bad: pl.Series, values: pl.Series) -> pl.Series:
    return pl.select(pl.when(~bad.fill_null(False)).then(values).alias(values.name)).to_series()
