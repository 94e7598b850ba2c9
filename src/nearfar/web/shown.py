"""Positions and scores as answers show them."""

from __future__ import annotations

import math
from typing import Any

from nearfar.web.served import Served
from nearfar.web.work import Found

DIGITS = 6
REASONS = {
    "history": "folded in from the history",
    "popular": "the history holds no item that the model knows; this is what is popular",
}


def recommendations(served: Served, found: Found) -> list[dict[str, Any]]:
    """Found items as answers list them."""
    ids, titles = served.catalogue.ids, served.catalogue.titles
    # Scores stay float32, which is written with the digits that it has, or as null.
    listed: list[dict[str, Any]] = [
        {"rank": rank, "item": ids[p], "title": titles[p], "score": score, "because": None}
        for rank, (p, score) in enumerate(zip(found.items.tolist(), found.scores, strict=True), 1)
    ]
    if found.carried is not None:
        for entry, carried in zip(listed, found.carried, strict=True):
            entry["because"] = [
                {"item": ids[p], "title": titles[p], "share": round(share, 4)}
                for p, share in carried
            ]
    return listed


def number(value: float) -> float | None:
    """A score with the digits that float32 has; None for what JSON cannot hold."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def found_item(served: Served, position: int) -> dict[str, Any]:
    """An item with its popularity."""
    return {
        **served.catalogue.item(position), "popularity": int(served.scorer.popularity[position])
    }  # fmt: skip
