"""The identity of users and items: when two ids, written differently, are the same id.

An id is a 64-bit integer or a text. The rule is the same wherever an id comes from: a log, a file
of histories, item details, an option, an HTTP request, a store.

- Blanks and invisible characters around an id do not belong to it. An accent that is a character
  of its own is the same as the accented letter.
- A text is the integer it spells only in its canonical form: "7" and "-7" are, "007", "+7" and
  "7e0" are not. A whole number that a program wrote as a float ("7.0", or the JSON number 7.0) is
  the integer 7.
- A column of text ids becomes a column of integers only if every id in it is an integer. Otherwise
  all of its ids stay as they are written.
- An integer finds a text id that spells it: 7 finds "7".
- A missing value is no id. `MISSING_WORDS` lists the texts that programs write for one.
"""

from __future__ import annotations

import math
import re
import unicodedata

import numpy as np
import polars as pl

CANONICAL = r"^(?:0|-?[1-9][0-9]*)$"
WHOLE = r"^(?:0|-?[1-9][0-9]*)\.0+$"
SPELLED_INTEGER = re.compile(r"(0|-?[1-9][0-9]*)(?:\.0+)?")
SHORTENED = r"^-?\d(?:[.,]\d+)?E\+\d{2,3}$"
LARGEST_EXACT_FLOAT = 2.0**53

INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\x1a"
"""Zero-width blanks, byte order marks and the end of a DOS file."""
MISSING_WORDS = frozenset(
    {
        *("", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "NAN", "-nan", "-NaN"),
        *("NaT", "NULL", "Null", "null", "(null)", "None", "none", "NONE", "nil", "undefined"),
        *("-", "--", "---", "\u2013", "\u2014", "(not set)", "(none)", "(blank)", "#DIV/0!"),
        *("-" * n for n in range(4, 10)),
        *("na", "Na", "<null>", "[null]", "[NULL]", "NIL", "#VALUE!", "#REF!", "#NAME?", r"\N"),
    }
)
"""What pandas, R, SQL, Excel, Python and JavaScript write where there is no value."""


def stripped(ids: pl.Series) -> pl.Series:
    """Text ids without blanks and invisible characters around them, accents joined to letters."""
    trimmed = ids.str.strip_chars()
    if (trimmed.str.len_bytes() == trimmed.str.len_chars()).all():
        return trimmed.str.strip_chars("\x1a") if trimmed.str.contains("\x1a").any() else trimmed
    return trimmed.str.strip_chars(INVISIBLE).str.strip_chars().str.normalize("NFC")


def missing_words(ids: pl.Series) -> pl.Series:
    """Which text values only say that there is no value (Boolean; null where the value is)."""
    # Most columns hold no such word, and no such word is longer than eleven bytes.
    short = ids.str.len_bytes() <= max(map(len, MISSING_WORDS))
    if not short.any():
        return short
    return ids.is_in(list(MISSING_WORDS))


def canonical_integers(ids: pl.Series) -> pl.Series | None:
    """Text ids as Int64 if every one is a canonical integer of 64 bits, else None.

    Faster than `integers`, for columns that are as they should be.
    """
    numbers = ids.cast(pl.Int64, strict=False)
    same = not numbers.null_count() and (numbers.cast(pl.String) == ids).all()
    return numbers if same else None


def integers(ids: pl.Series) -> pl.Series:
    """The integers that text ids spell (Int64); null where a text spells none.

    Integers that 64 bits do not hold are null too: no vocabulary has them.
    """
    text = stripped(ids)
    if (numbers := canonical_integers(text)) is not None:
        return numbers
    whole = text.str.replace(r"\.0+$", "")
    canonical = whole.str.contains(CANONICAL)
    return pl.select(
        pl.when(canonical).then(whole).cast(pl.Int64, strict=False).alias(ids.name)
    ).to_series()


def spells_integers(ids: pl.Series) -> bool:
    """Whether every text spells an integer, of whatever size; nulls aside."""
    return bool((ids.str.contains(CANONICAL) | ids.str.contains(WHOLE)).all())


def settled(ids: pl.Series) -> pl.Series:
    """The ids of a whole column of a text file: Int64 if every one spells an integer, else text.

    Integers that 64 bits do not hold leave the column text.
    """
    if ids.dtype != pl.String or not spells_integers(ids):
        return ids
    numbers = integers(ids)
    return numbers if numbers.null_count() == ids.null_count() else ids


def shortened(ids: pl.Series) -> pl.Series:
    """Which text ids are numbers that a spreadsheet shortened ("1.23E+12"), losing digits."""
    if not ids.str.contains("E+", literal=True).any():
        return pl.repeat(False, len(ids), eager=True)
    return ids.str.contains(SHORTENED).fill_null(False)


def integers_of_floats(ids: pl.Series) -> pl.Series:
    """The integers that float ids are (Int64); null where one is fractional or not exact."""
    exact = ids.is_finite() & (ids == ids.round()) & (ids.abs() < LARGEST_EXACT_FLOAT)
    return pl.select(
        pl.when(exact).then(ids).cast(pl.Int64, strict=False).alias(ids.name)
    ).to_series()


def id_text(value: object) -> str | None:
    """One id as text, or None where the value cannot be an id.

    Args:
        value: from JSON, an option or Python: an integer, a text, or a whole float.
    """
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value.strip().strip(INVISIBLE).strip())
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        number = float(value)
        whole = math.isfinite(number) and number.is_integer()
        return str(int(number)) if whole and abs(number) < LARGEST_EXACT_FLOAT else None
    return None


def looked_up(ids: pl.Series, kind: pl.DataType | type[pl.DataType]) -> pl.Series:
    """Ids of any form as a vocabulary of `kind` (Int64 or String) would hold them.

    An id that such a vocabulary cannot hold is null.
    """
    if ids.dtype in (pl.Categorical, pl.Enum):
        ids = ids.cast(pl.String)
    if ids.dtype.is_float():
        ids = integers_of_floats(ids)
    if ids.dtype == pl.String:
        return integers(ids) if kind == pl.Int64 else stripped(ids)
    return ids.cast(kind, strict=False)


def key_of(value: object, *, integer: bool) -> int | str | None:
    """One id as a vocabulary of integers, or of text, would hold it; None where it cannot.

    The same as `looked_up`, for a single value.
    """
    text = id_text(value)
    if text is None or not integer:
        return text
    spelled = SPELLED_INTEGER.fullmatch(text)
    return int(spelled[1]) if spelled else None
