"""Convert frames to pandas, and summarise objects in text and HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

import polars as pl

from nearfar.core.errors import MissingExtraError


def to_pandas(frame: pl.DataFrame) -> Any:
    """Convert a Polars frame to pandas column by column, without pyarrow.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtraError("pandas", "pandas", "a pandas frame") from None
    return pd.DataFrame({column.name: column.to_numpy() for column in frame.get_columns()})


def summary_text(title: str, facts: Mapping[str, object]) -> str:
    """Return one line, such as "Interactions(658 users, 1,394 items)"."""
    return f"{title}({', '.join(_fact(name, value) for name, value in facts.items())})"


def summary_html(title: str, facts: Mapping[str, object]) -> str:
    """Return a small table for notebooks."""
    return table_html([(name, _number(value)) for name, value in facts.items()], caption=title)


def table_html(
    rows: Iterable[Sequence[str]],
    *,
    caption: str = "",
    header: Sequence[str] = (),
    notes: Iterable[str] = (),
) -> str:
    """Return a table as HTML, for notebooks; its first column names the rows."""
    table = Element("table")
    if caption:
        SubElement(table, "caption").text = caption
    for kind, cells in [("th", header)] * bool(header) + [("td", row) for row in rows]:
        line = SubElement(table, "tr")
        for number, text in enumerate(cells):
            left = {} if number else {"style": "text-align:left"}
            SubElement(line, kind if number else "th", left).text = text
    paragraphs = []
    for note in notes:
        paragraphs.append(Element("p"))
        paragraphs[-1].text = note
    return "".join(tostring(part, "unicode", method="html") for part in (table, *paragraphs))


def _fact(name: str, value: object) -> str:
    return f"{_number(value)} {name}" if isinstance(value, int | float) else f"{name}: {value}"


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
