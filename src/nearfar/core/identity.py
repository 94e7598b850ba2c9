"""The identity of users and items: when two ids in different spelling are the same id.

An id is a 64-bit integer or a text. The rules are the same for all sources of ids: a log, a file of
histories, item details, an option, an HTTP request, a store.

- Blanks and invisible characters around an id are ignored. A letter with a combining accent equals
  the accented letter.
- A text is an integer only in canonical form: "7" and "-7" are integers, "007", "+7" and "7e0" are
  not. A whole number that a program wrote as a float ("7.0", or the JSON number 7.0) is the integer
  7, in a column of text too.
- A number that R wrote as 1e+05 is the integer 100000 if no digit can be lost: up to 1e+05, or if
  the column has whole numbers of the same length. Otherwise it is refused, because C writes
  1234567 as 1.23457e+06.
- A column of text ids becomes a column of integers only if every id is a 64-bit integer. Otherwise
  all of its ids are text.
- An integer matches a text id that spells it: 7 matches "7".
- A missing value is not an id. `MISSING_WORDS` lists the texts that programs write for it.
"""

from __future__ import annotations

import math
import re
import unicodedata

import numpy as np
import polars as pl

from nearfar.core.errors import DataError

CANONICAL = r"^(?:0|-?[1-9][0-9]*)$"
WHOLE = r"^(?:0|-?[1-9][0-9]*)\.0+$"
SCIENTIFIC = r"^-?[1-9](?:\.\d+)?e\+\d{2,3}$"
FORMULA = r'^="(.*)"$'
SURE_EXPONENT = 5
"""Exponent up to which no digit is lost: programs that round keep at least six digits."""
SPELLED_INTEGER = re.compile(r"(0|-?[1-9][0-9]*)(?:\.0+)?")
SHORTENED = r"^-?\d(?:[.,]\d+)?E\+\d{2,3}$"
LARGEST_EXACT_FLOAT = 2.0**53

INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\x1a"
"""Zero-width blanks, byte order marks and the end-of-file character of DOS."""
MISSING_WORDS = frozenset(
    {
        *("", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "NAN", "-nan", "-NaN"),
        *("NaT", "NULL", "Null", "null", "(null)", "None", "none", "NONE", "nil", "undefined"),
        *("-", "--", "---", "\u2013", "\u2014", "(not set)", "(none)", "(blank)", "#DIV/0!"),
        *("-" * n for n in range(4, 10)),
        *("na", "Na", "<null>", "[null]", "[NULL]", "NIL", "#VALUE!", "#REF!", "#NAME?", r"\N"),
    }
)
"""The texts that pandas, R, SQL, Excel, Python and JavaScript write for a missing value."""


def stripped(ids: pl.Series) -> pl.Series:
    """Return text ids without surrounding characters, with accents joined to letters.

    Surrounding characters are blanks, invisible characters, and the signs by which a spreadsheet
    keeps text from becoming a number (="007").
    """
    trimmed = ids.str.strip_chars()
    if trimmed.str.starts_with('="').any():
        trimmed = trimmed.str.replace(FORMULA, "$1").str.strip_chars()
    if (trimmed.str.len_bytes() == trimmed.str.len_chars()).all():
        return trimmed.str.strip_chars("\x1a") if trimmed.str.contains("\x1a").any() else trimmed
    return trimmed.str.strip_chars(INVISIBLE).str.strip_chars().str.normalize("NFC")


def missing_words(ids: pl.Series) -> pl.Series:
    """Return which text values mean a missing value (Boolean; null for null)."""
    # Lengths are checked first because most columns have no such word.
    is_short = ids.str.len_bytes() <= max(map(len, MISSING_WORDS))
    if not is_short.any():
        return is_short
    return ids.is_in(list(MISSING_WORDS))


def canonical_integers(ids: pl.Series) -> pl.Series | None:
    """Return text ids as Int64 if every one is a canonical 64-bit integer, else None.

    This is faster than `integers` for clean columns.
    """
    numbers = ids.cast(pl.Int64, strict=False)
    same = not numbers.null_count() and (numbers.cast(pl.String) == ids).all()
    return numbers if same else None


def integers(ids: pl.Series) -> pl.Series:
    """Return the integers that text ids spell (Int64); null for other texts.

    Integers beyond 64 bits are null too: no vocabulary has them.
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
    """Return whether every text, except nulls, spells an integer of any size."""
    return bool((ids.str.contains(CANONICAL) | ids.str.contains(WHOLE)).all())


def settled(ids: pl.Series, role: str, *, typed: bool = False, literal: bool = False) -> pl.Series:
    """Return the ids of a whole column: Int64 if every one spells a 64-bit integer, else text.

    In text, whole numbers are written as digits, also if the column writes "7.0" or "1e+05".

    Args:
        ids: ids without surrounding blanks.
        role: "user" or "item", for messages.
        typed: keep text as text even if all of it is integers.
        literal: keep text as written.

    Raises:
        DataError: a number in scientific notation may have lost digits.
    """
    if ids.dtype != pl.String or (literal and not spells_integers(ids)):
        return ids
    if not literal:
        ids = _write_digits(ids, role)
    if typed or not spells_integers(ids):
        return ids
    numbers = integers(ids)
    return numbers if numbers.null_count() == ids.null_count() else ids


def written_anew(ids: pl.Series) -> pl.Series:
    """Return which text ids `settled` rewrites as digits ("7.0", "1e+05")."""
    rewritten = pl.repeat(False, len(ids), eager=True)
    for sign, pattern in ((".0", WHOLE), ("e+", SCIENTIFIC)):
        # Search a literal first: it is faster, and most columns have no such id.
        if ids.str.contains(sign, literal=True).any():
            rewritten |= ids.str.contains(pattern).fill_null(False)
    return rewritten


def _write_digits(ids: pl.Series, role: str) -> pl.Series:
    """Return text ids with whole numbers written as digits."""
    rewritten = written_anew(ids)
    if not rewritten.any():
        return ids
    ids = ids.str.replace(r"\.0+$", "").zip_with(rewritten, ids)
    is_scientific = ids.str.contains(SCIENTIFIC).fill_null(False)
    scientific = ids.filter(is_scientific).unique(maintain_order=True).to_list()
    lengths = ids.filter(ids.str.contains(CANONICAL)).str.strip_chars_start("-").str.len_bytes()
    longest = int(lengths.max() or 0)  # pyright: ignore[reportArgumentType]
    digits = {text: _digits(text) for text in scientific}
    max_digits = max(longest, SURE_EXPONENT + 1)
    for text, number in digits.items():
        if number is None or len(number.lstrip("-")) > max_digits:
            raise DataError(
                f"the {role} id {text!r} is a number in scientific notation, which may have lost "
                "digits; write ids in full (in R: options(scipen=999)), or read them as written "
                "with --literal-ids (in settings: literal_ids = true)"
            )
    return ids.replace(digits) if digits else ids


def _digits(scientific: str) -> str | None:
    """Return the digits of a number such as 1.5e+06; None if it is not a whole number."""
    mantissa, _, exponent = scientific.partition("e+")
    whole, _, fraction = mantissa.partition(".")
    n_zeros = int(exponent) - len(fraction)
    return None if n_zeros < 0 else f"{whole}{fraction}{'0' * n_zeros}"


def of_integers(ids: pl.Series) -> pl.Series:
    """Return integer ids of any width as Int64 if all fit into 64 bits, else as text."""
    numbers = ids.cast(pl.Int64, strict=False)
    return numbers if numbers.null_count() == ids.null_count() else ids.cast(pl.String)


def shortened(ids: pl.Series) -> pl.Series:
    """Return which text ids are numbers whose digits a spreadsheet has cut ("1.23E+12")."""
    if not ids.str.contains("E+", literal=True).any():
        return pl.repeat(False, len(ids), eager=True)
    return ids.str.contains(SHORTENED).fill_null(False)


def integers_of_floats(ids: pl.Series) -> pl.Series:
    """Return float or decimal ids as integers (Int64, or text if one does not fit into 64 bits).

    Fractional and inexact numbers become null.
    """
    if ids.dtype.is_decimal():
        text = ids.cast(pl.String)
        whole = text.str.contains(CANONICAL) | text.str.contains(WHOLE)
        digits = text.str.replace(r"\.0+$", "")
        return settled(pl.select(pl.when(whole).then(digits).alias(ids.name)).to_series(), "")
    exact = ids.is_finite() & (ids == ids.round()) & (ids.abs() < LARGEST_EXACT_FLOAT)
    return pl.select(
        pl.when(exact).then(ids).cast(pl.Int64, strict=False).alias(ids.name)
    ).to_series()


def id_text(value: object) -> str | None:
    """Return an id as text, or None if the value cannot be an id.

    Args:
        value: an integer, a text or a whole float, from JSON, an option or Python.
    """
    if isinstance(value, str):
        text = re.sub(FORMULA, r"\1", value.strip())
        return unicodedata.normalize("NFC", text.strip().strip(INVISIBLE).strip())
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
    """Return ids of any form as a vocabulary of `kind` (Int64 or String) stores them.

    An id that such a vocabulary cannot hold is null.
    """
    if ids.dtype in (pl.Categorical, pl.Enum):
        ids = ids.cast(pl.String)
    if ids.dtype.is_float():
        ids = integers_of_floats(ids)
    if ids.dtype == pl.String:
        if kind == pl.Int64:
            return integers(ids)
        text = stripped(ids)
        whole = text.str.contains(WHOLE).fill_null(False)
        return text.str.replace(r"\.0+$", "").zip_with(whole, text) if whole.any() else text
    return ids.cast(kind, strict=False)


def key_of(value: object, *, integer: bool) -> int | str | None:
    """Return an id as a vocabulary of integers, or of text, stores it; None if it cannot.

    This is `looked_up` for a single value.
    """
    text = id_text(value)
    spelled = SPELLED_INTEGER.fullmatch(text or "")
    if spelled is None:
        return None if integer else text
    return int(spelled[1]) if integer else spelled[1]
