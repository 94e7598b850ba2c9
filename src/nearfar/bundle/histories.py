"""From what people type or store to histories over a bundle's items."""

from __future__ import annotations

from nearfar.bundle.history_file import HistoryChunk, read_histories
from nearfar.bundle.lookup import histories_from_items
from nearfar.bundle.matching import Candidate, Match, Matches, match_items

__all__ = [
    "Candidate",
    "HistoryChunk",
    "Match",
    "Matches",
    "histories_from_items",
    "match_items",
    "read_histories",
]
