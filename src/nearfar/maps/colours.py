"""The colours of all figures."""

from __future__ import annotations

# Okabe and Ito's palette: told apart by readers with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")

ANCHOR = "#333333"


def colour_of(cohort: int) -> str:
    """The colour of a cohort, by its number; they repeat after seven."""
    return COLOURS[cohort % len(COLOURS)]
