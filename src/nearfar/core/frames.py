"""Frames handed to pandas, and short summaries of objects in text and HTML."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import polars as pl

from nearfar.core.errors import MissingExtraError


def to_pandas(frame: pl.DataFrame) -> Any:
    """Return a Polars frame as a pandas one, column by column; pyarrow is not needed.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtraError("pandas", "pandas", "a pandas frame") from None
    return pd.DataFrame({column.name: column.to_numpy() for column in frame.get_columns()})


def summary_text(title: str, facts: Mapping[str, object]) -> str:
    """Return one line, as "Interactions(658 users, 1,394 items)"."""
    return f"{title}({', '.join(_fact(name, value) for name, value in facts.items())})"


def summary_html(title: str, facts: Mapping[str, object]) -> str:
    """Return a small table for notebooks."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(_number(value))}</td></tr>"
        for name, value in facts.items()
    )
    return f"<table><caption>{escape(title)}</caption>{rows}</table>"


def _fact(name: str, value: object) -> str:
    return f"{_number(value)} {name}" if isinstance(value, int | float) else f"{name}: {value}"


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
