"""The identity of users and items: when two ids, written differently, are the same id.

An id is a 64-bit integer or a text. The rule is the same wherever an id comes from: a log, a file
of histories, item details, an option, an HTTP request, a store.

- Blanks and invisible characters around an id do not belong to it. An accent that is a character
  of its own is the same as the accented letter.
- A text is the integer it spells only in its canonical form: "7" and "-7" are, "007", "+7" and
  "7e0" are not. A whole number that a program wrote as a float ("7.0", or the JSON number 7.0) is
  the integer 7, in a column of text too.
- A number that R wrote as 1e+05 is the integer 100000 where no digit can be lost: up to 1e+05, or
  where the column holds whole numbers that are as long. Otherwise it is refused, because C writes
  1234567 as 1.23457e+06.
- A column of text ids becomes a column of integers only if every id in it is an integer of 64 bits.
  Otherwise all of its ids are text.
- An integer finds a text id that spells it: 7 finds "7".
- A missing value is no id. `MISSING_WORDS` lists the texts that programs write for one.
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
"""Programs that round keep six digits at least."""
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
    """Text ids without what stands around them, accents joined to letters.

    Around ids stand blanks, invisible characters, and the signs by which a spreadsheet keeps text
    from becoming a number (="007").
    """
    trimmed = ids.str.strip_chars()
    if trimmed.str.starts_with('="').any():
        trimmed = trimmed.str.replace(FORMULA, "$1").str.strip_chars()
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


def settled(ids: pl.Series, role: str, *, typed: bool = False, literal: bool = False) -> pl.Series:
    """The ids of a whole column: Int64 if every one spells an integer of 64 bits, else text.

    In text a whole number is written by its digits, however the column writes it ("7.0", "1e+05").

    Args:
        ids: without blanks around them.
        role: "user" or "item", for messages.
        typed: text stays text even where all of it is integers.
        literal: text stays as it is written.

    Raises:
        DataError: a number in scientific notation may have lost digits.
    """
    if ids.dtype != pl.String or (literal and not spells_integers(ids)):
        return ids
    if not literal:
        ids = _written_out(ids, role)
    if typed or not spells_integers(ids):
        return ids
    numbers = integers(ids)
    return numbers if numbers.null_count() == ids.null_count() else ids


def written_anew(ids: pl.Series) -> pl.Series:
    """Which text ids `settled` writes by their digits ("7.0", "1e+05")."""
    again = pl.repeat(False, len(ids), eager=True)
    for sign, form in ((".0", WHOLE), ("e+", SCIENTIFIC)):
        # Most columns hold no such id, and a literal is found faster.
        if ids.str.contains(sign, literal=True).any():
            again |= ids.str.contains(form).fill_null(False)
    return again


def _written_out(ids: pl.Series, role: str) -> pl.Series:
    """Text ids with whole numbers by their digits."""
    again = written_anew(ids)
    if not again.any():
        return ids
    ids = ids.str.replace(r"\.0+$", "").zip_with(again, ids)
    scientific = ids.str.contains(SCIENTIFIC).fill_null(False)
    found = ids.filter(scientific).unique(maintain_order=True).to_list()
    plain = ids.filter(ids.str.contains(CANONICAL)).str.strip_chars_start("-").str.len_bytes()
    longest = int(plain.max() or 0)  # pyright: ignore[reportArgumentType]
    digits = {text: _digits(text) for text in found}
    sure = max(longest, SURE_EXPONENT + 1)
    for text, number in digits.items():
        if number is None or len(number.lstrip("-")) > sure:
            raise DataError(
                f"the {role} id {text!r} is a number in scientific notation, which may have lost "
                "digits; write ids in full (in R: options(scipen=999)), or take them as they are "
                "written with --literal-ids (in settings: literal_ids = true)"
            )
    return ids.replace(digits) if digits else ids


def _digits(scientific: str) -> str | None:
    """The digits of a number such as 1.5e+06; None where it is no whole number."""
    mantissa, _, exponent = scientific.partition("e+")
    whole, _, fraction = mantissa.partition(".")
    n_zeros = int(exponent) - len(fraction)
    return None if n_zeros < 0 else f"{whole}{fraction}{'0' * n_zeros}"


def of_integers(ids: pl.Series) -> pl.Series:
    """Integer ids of any width: Int64 where 64 bits hold all of them, else text."""
    numbers = ids.cast(pl.Int64, strict=False)
    return numbers if numbers.null_count() == ids.null_count() else ids.cast(pl.String)


def shortened(ids: pl.Series) -> pl.Series:
    """Which text ids are numbers that a spreadsheet shortened ("1.23E+12"), losing digits."""
    if not ids.str.contains("E+", literal=True).any():
        return pl.repeat(False, len(ids), eager=True)
    return ids.str.contains(SHORTENED).fill_null(False)


def integers_of_floats(ids: pl.Series) -> pl.Series:
    """The integers that float or decimal ids are (Int64, or text where 64 bits do not hold one).

    Null where one is fractional or not exact.
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
    """One id as text, or None where the value cannot be an id.

    Args:
        value: from JSON, an option or Python: an integer, a text, or a whole float.
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
    """Ids of any form as a vocabulary of `kind` (Int64 or String) would hold them.

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
    """One id as a vocabulary of integers, or of text, would hold it; None where it cannot.

    The same as `looked_up`, for a single value.
    """
    text = id_text(value)
    spelled = SPELLED_INTEGER.fullmatch(text or "")
    if spelled is None:
        return None if integer else text
    return int(spelled[1]) if integer else spelled[1]
