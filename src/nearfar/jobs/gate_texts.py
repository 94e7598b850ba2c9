"""The value and the limit of a gate as text with units."""

from __future__ import annotations

import math

DROPS = ("max_ndcg_drop", "max_coverage_drop", "max_group_drop")
COUNTS = ("min_users",)
OVER_POPULARITY = "min_over_popularity"


def measured_text(gate: str, value: float | None) -> str:
    """Return a gate's value as text with its unit; "-" for None."""
    if value is None:
        return "-"
    if gate in COUNTS:
        return f"{value:,.0f} users"
    if gate == OVER_POPULARITY:
        return "popularity has 0" if math.isinf(value) else f"{value + 1:.2f} times popularity"
    if gate in DROPS:
        if math.isinf(value):
            return "gained from 0"
        return f"{'dropped' if value > 0 else 'gained'} {abs(value):.1%}" if value else "unchanged"
    return f"{value:.1%}"


def limit_text(gate: str, limit: float) -> str:
    """Return a gate's limit as text with its unit."""
    if gate in COUNTS:
        return f"at least {limit:,.0f} users"
    if gate == OVER_POPULARITY:
        return f"at least {limit + 1:.2f} times"
    return f"drop of at most {limit:.1%}" if gate in DROPS else f"at most {limit:.1%}"
