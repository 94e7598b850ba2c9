"""Formulas written in ASCII, as terminals show them, with the signs that pages can show."""

from __future__ import annotations

import re

INDICES = str.maketrans("0123456789uvi", "₀₁₂₃₄₅₆₇₈₉ᵤᵥᵢ")
POWERS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def as_formula(text: str) -> str:
    """Return text with norms, indices, powers and Greek letters as signs.

    "||x_u - x_v||_1" becomes "‖xᵤ - xᵥ‖₁", "W2^2" "W2²", "lambda_A" "λ_A". Only Unicode is used, so
    that it may stand in headings, tables, labels of charts and attributes alike.
    """
    text = re.sub(r"\|\|([^|]+)\|\|", r"‖\1‖", text)
    text = re.sub(r"(?<=[a-z‖])_([0-9uvi])(?![A-Za-z0-9])", _index, text)
    text = re.sub(r"\^([0-9]+)", _power, text)
    text = re.sub(r"\bqbar\b", "q\u0304", text)
    return re.sub(r"\blambda(?=_|\b)", "λ", text)


def _index(found: re.Match[str]) -> str:
    return found[1].translate(INDICES)


def _power(found: re.Match[str]) -> str:
    return found[1].translate(POWERS)
