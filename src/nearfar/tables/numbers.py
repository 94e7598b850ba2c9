"""Numbers as tables hold them: decimal commas, separators of thousands, missing values."""

from __future__ import annotations

import polars as pl

from nearfar.core import identity
from nearfar.core.errors import DataError, SchemaError
from nearfar.tables.columns import Parsed
from nearfar.tables.report import ReadReport

LARGEST = 3.4e38
"""Ratings and weights are kept as 32-bit floats."""
GROUPED = r"^[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$"
"""Thousands by commas, where commas are no decimal signs."""
GROUPED_BOTH = r"^[+-]?\d{1,3}(?:(?:\.\d{3})+,\d+|(?:,\d{3})+\.\d+)$"
"""Thousands by one sign, decimals by the other."""
DECIMAL_COMMA = r"^[+-]?\d+,\d+$"
SURE_DECIMAL_COMMA = r"^[+-]?\d+,(?:\d{1,2}|\d{4,})$"
"""Three digits after a comma may be thousands."""
POINT, COMMA, GROUPS = "a decimal point", "a decimal comma", "a comma before three digits"


class NumberReader:
    """Reads the columns of numbers of one table, block after block in the same way.

    Args:
        where: how messages name the table.
        report: filled with conversions.
        typed: whether columns have types of their own.
        decimal_comma: whether commas do not separate cells, so that "4,500" may be 4.5.
    """

    def __init__(
        self, where: str, report: ReadReport, *, typed: bool = True, decimal_comma: bool = False
    ) -> None:
        self._where = where
        self._report = report
        self._typed = typed
        self._decimal_comma = decimal_comma and not typed
        self._signs: dict[str, set[str]] = {}
        self._n_unclear: dict[str, int | None] = {}

    def read(self, role: str, values: pl.Series, column: str) -> Parsed:
        """The numbers of a block (Float64).

        Raises:
            SchemaError: the column's type is no number.
        """
        kind = values.dtype
        if kind == pl.String:
            parsed = self._spelled(role, values)
        elif kind.is_numeric() or kind in (pl.Boolean, pl.Null):
            numbers = values.cast(pl.Float64)
            if self._decimal_comma and (numbers != numbers.round()).any():
                self._signs.setdefault(role, set()).add(POINT)
            bad = _too_large(numbers)
            parsed = Parsed(
                _null_where(bad | numbers.is_nan(), numbers), bad, "a number was expected", numbers
            )
        else:
            raise SchemaError(f"{self._where}: column {column!r} is {kind}; numbers were expected")
        if self._decimal_comma:
            self._count_unclear(column, parsed.values)
        return parsed

    def finish(self) -> None:
        """Check what only the whole table can tell.

        Raises:
            DataError: numbers have decimal points in some rows and decimal commas in others.
        """
        for role, signs in self._signs.items():
            if COMMA in signs and len(signs) > 1:
                others = " or ".join(sorted(signs - {COMMA}))
                raise DataError(
                    f"{self._where}: numbers of the {role} have {COMMA} in some rows and {others} "
                    "in others; write them one way"
                )
        for column, n in self._n_unclear.items():
            if n:
                self._report.remarks.append(
                    f"all {n:,} fractions in {column!r} of {self._where} have three digits after "
                    "the point, which is read as decimal; if it separates thousands, take it away"
                )

    def _count_unclear(self, column: str, numbers: pl.Series) -> None:
        """Count numbers such as 1.234, unless others tell that points are decimal signs."""
        broken = numbers.filter(numbers != numbers.round())
        whole = (broken * 1000 - (broken * 1000).round()).abs() < 1e-6
        hundredths = (broken * 100 - (broken * 100).round()).abs() < 1e-6
        unclear = whole & ~hundredths & (broken.abs() >= 1) & (broken.abs() < 1000)
        before = self._n_unclear.get(column, 0)
        if before is None or (~unclear).any():
            self._n_unclear[column] = None
        else:
            self._n_unclear[column] = before + len(broken)

    def _spelled(self, role: str, values: pl.Series) -> Parsed:
        expected = "a number was expected"
        signs = self._signs.setdefault(role, set())
        numbers = values.cast(pl.Float64, strict=False)
        text = values
        if numbers.null_count() > values.null_count() or numbers.is_nan().any():
            text = identity.stripped(values)
            text = _null_where(identity.missing_words(text) | (text == ""), text)
            numbers = text.cast(pl.Float64, strict=False)
            left = text.is_not_null() & numbers.is_null()
            grouped = text.str.contains(GROUPED_BOTH if self._decimal_comma else GROUPED)
            if role == "rating" and not self._decimal_comma:
                # Nobody gives 4,500 stars.
                if (grouped & left).any():
                    expected += ", and a comma before three digits may be a decimal sign or not"
                grouped &= False
            if (grouped := grouped.fill_null(False) & left).any():
                self._report.converted["separators of thousands dropped"] += int(grouped.sum())
                if text.filter(grouped).str.contains(r"^[^.]*,\d{3}$").any():
                    signs.add(GROUPS)
                text = self._ungrouped(text).zip_with(grouped, text)
                numbers = text.cast(pl.Float64, strict=False)
                left &= ~grouped
            form = DECIMAL_COMMA if self._decimal_comma else SURE_DECIMAL_COMMA
            comma = left & text.str.contains(form).fill_null(False)
            if comma.any():
                signs.add(COMMA)
                self._report.converted["decimal commas read as points"] += int(comma.sum())
                points = text.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
                numbers = numbers.zip_with(~comma, points)
        if values.str.contains(r"^[^,]*\.[^,]*$").any():
            signs.add(POINT)
        bad = (text.is_not_null() & numbers.is_null()) | numbers.is_nan().fill_null(False)
        bad |= _too_large(numbers)
        return Parsed(_null_where(bad, numbers), bad, expected, text)

    def _ungrouped(self, text: pl.Series) -> pl.Series:
        """Numbers without separators of thousands."""
        plain = text.str.replace_all(",", "", literal=True)
        if not self._decimal_comma:
            return plain
        last = text.str.contains(r",\d+$").fill_null(False)
        german = text.str.replace_all(".", "", literal=True).str.replace(",", ".")
        return german.zip_with(last & ~text.str.contains(r",.*\."), plain)


def _too_large(numbers: pl.Series) -> pl.Series:
    return ((numbers.abs() > LARGEST) & ~numbers.is_nan()).fill_null(False)


def _null_where(bad: pl.Series, values: pl.Series) -> pl.Series:
    return pl.select(pl.when(~bad.fill_null(False)).then(values).alias(values.name)).to_series()
