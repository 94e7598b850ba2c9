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
    show = served.catalogue.item
    listed = []
    for place, (position, score) in enumerate(
        zip(found.items.tolist(), found.scores.tolist(), strict=True)
    ):
        because = None
        if found.carried is not None:
            because = [
                {**show(carrier), "share": round(share, 4)}
                for carrier, share in found.carried[place]
            ]
        listed.append(
            {"rank": place + 1, **show(position), "score": number(score), "because": because}
        )
    return listed


def number(value: float) -> float | None:
    """A score with the digits that float32 has; None for what JSON cannot hold."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def found_item(served: Served, position: int) -> dict[str, Any]:
    """An item with its popularity."""
    return {
        **served.catalogue.item(position), "popularity": int(served.scorer.popularity[position])
    }  # fmt: skip
