"""Rows as PostgreSQL's COPY takes them in text form."""

from __future__ import annotations

import io

import polars as pl

SPECIAL = r"[\\\t\n\r]"
ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def copy_text(rows: pl.DataFrame) -> bytes:
    """Tab-separated lines, backslash-escaped.

    Source: the PostgreSQL manual, COPY, "Text Format".

    Args:
        rows: numbers, moments in UTC, and text; nothing is missing.
    """
    columns = [_escaped(c) if c.dtype == pl.String else c for c in rows.get_columns()]
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_csv(
        buffer,
        include_header=False,
        separator="\t",
        quote_style="never",
        datetime_format="%Y-%m-%d %H:%M:%S%.6f%:z",
    )
    return buffer.getvalue()


def _escaped(text: pl.Series) -> pl.Series:
    if not text.str.contains(SPECIAL).any():
        return text
    for character, escape in ESCAPES.items():  # the backslash first, as the others bring some
        text = text.str.replace_all(character, escape, literal=True)
    return text
