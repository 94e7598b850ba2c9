"""Complete years of two digits in dates such as 31.05.24, 5/31/24, 24-05-31 and 31-May-24."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

NUMBERS = (
    r"^(?<first>\d{1,2})(?<sign>[/.-])(?<second>\d{1,2})[/.-](?<third>\d{2})(?<rest>(?:[T\s,].*)?)$"
)
NAMED_MONTH = (
    r"^(?<first>\d{1,2})[ -](?<second>[A-Za-z]{3,9})\.?[ -]'?(?<third>\d{2})(?<rest>(?:[\s,].*)?)$"
)
PIVOT = 70
"""Two digits from here on are a year of the 20th century, as POSIX and databases read them."""
ORDERS = {
    "day first": ("third", "second", "first"),
    "month first": ("third", "first", "second"),
    "year first": ("first", "second", "third"),
}
"""The parts that are the year, the month and the day, by the name of the order."""


class ShortYears:
    """Complete the years of one column, with the same order of year, month and day for all blocks.

    The order is inferred once, from the first block with such dates: the only one in which all of
    them are dates of the past. Where none or several are, dates stay as they are, and are refused.
    Dates with dots are not month first, and dates with the month's name are day first.

    Attributes:
        order: the order of dates of numbers, a key of `ORDERS`; "" if unknown.
    """

    def __init__(self) -> None:
        self.order = ""
        self._n_dates = 0
        self._example = ""

    def forget_counts(self) -> None:
        """Count dates anew, with the order inferred so far."""
        self._n_dates = 0

    @property
    def remarks(self) -> list[str]:
        """A remark on how the dates were read; empty without such dates."""
        if not self._n_dates:
            return []
        order, first = self.order or "day first", 1900 + PIVOT
        return [
            f"{self._n_dates:,} dates such as {self._example!r} have a year of two digits and are "
            f"read {order}, in the years {first} to {first + 99}; if that is wrong, set their "
            "format with --time-format"
        ]

    def completed(self, text: pl.Series) -> pl.Series:
        """Return dates with years of four digits; other text is unchanged."""
        for form in (NUMBERS, NAMED_MONTH):
            parts = text.str.extract_groups(form).struct.unnest()
            dates = parts["first"].is_not_null()
            if not dates.any():
                continue
            order = "day first"
            if form == NUMBERS:
                order = self.order = self.order or _order_of(parts.filter(dates))
            if not order:
                continue
            year, month, day = (pl.col(part) for part in ORDERS[order])
            number = year.cast(pl.Int64)
            full = pl.when(number < PIVOT).then(number + 2000).otherwise(number + 1900)
            rest = pl.col("rest").str.replace("^T", " ")
            written = pl.format("{}-{}-{}{}", day, month, full, rest)
            if form == NUMBERS:
                written = pl.format("{}-{}-{}{}", full, month, day, rest)
            self._example = self._example or text.filter(dates)[0]
            self._n_dates += int(dates.sum())
            text = parts.select(written.alias(text.name)).to_series().zip_with(dates, text)
        return text


def _order_of(parts: pl.DataFrame) -> str:
    """Return the only order in which all dates are dates of the past; "" if none or several are."""
    numbers = parts.select(pl.col("first", "second", "third").cast(pl.Int64))
    this_year = datetime.now(UTC).year % 100
    orders = []
    for order, (year, month, day) in ORDERS.items():
        years = numbers[year]
        fits = (
            numbers[month].is_between(1, 12).all()
            and numbers[day].is_between(1, 31).all()
            and ((years <= this_year) | (years >= PIVOT)).all()
        )
        if order == "month first":
            fits = fits and not (parts["sign"] == ".").any()
        if order == "year first":
            fits = fits and (parts["first"].str.len_chars() == 2).all()
        orders += [order] if fits else []
    return orders[0] if len(orders) == 1 else ""
