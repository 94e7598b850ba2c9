"""Which items may be recommended from a bundle, and what re-ranks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.histories import positions
from nearfar.bundle.similar import item_facts
from nearfar.core.errors import DataError
from nearfar.reranking.reranking import ListBuilder, Rerank, Reranking

Ids = Sequence[int] | Sequence[str] | pl.Series


@dataclass(frozen=True, eq=False)
class CandidateItems:
    """The lists of allowed and denied items as positions, and what re-ranks."""

    allow: np.ndarray | None
    deny: np.ndarray | None
    n_unknown_allowed: int
    n_unknown_denied: int
    builder: ListBuilder | None

    @property
    def unknown(self) -> dict[str, Any]:
        """What was unknown, as the results have it."""
        return {
            "n_unknown_allowed": self.n_unknown_allowed,
            "n_unknown_denied": self.n_unknown_denied,
            "unknown_rules": () if self.builder is None else self.builder.rules.unknown,
        }


def candidate_items(
    bundle: Bundle, allow: Ids | None, deny: Ids | None, rerank: Rerank
) -> CandidateItems:
    """Return the items that lists of ids and the rules of a re-ranking leave.

    Args:
        bundle: what is recommended from.
        allow: ids of the only items that may be recommended; None for all.
        deny: ids of items that may not.
        rerank: what re-ranks, if anything does.

    Raises:
        DataError: no allowed item is known.
        SettingsError: the re-ranking is wrong, or the items lack what it needs.
    """
    reranking = Reranking.of(rerank)
    builder = None if reranking is None else reranking.over(item_facts(bundle))
    allowed, n_unknown_allowed = _known(bundle, allow)
    denied, n_unknown_denied = _known(bundle, deny)
    if builder is not None and len(builder.rules.excluded):
        denied = np.union1d(builder.rules.excluded, [] if denied is None else denied)
        denied = denied.astype(np.int64)
    if allowed is not None and not len(allowed):
        what = (
            f"none of the {n_unknown_allowed} allowed items is known"
            if n_unknown_allowed
            else "the list of allowed items is empty"
        )
        raise DataError(f"{what}, so that nothing could be recommended; check the ids")
    if allowed is not None and denied is not None:
        allowed, denied = np.setdiff1d(allowed, denied), None
    return CandidateItems(allowed, denied, n_unknown_allowed, n_unknown_denied, builder)


def _known(bundle: Bundle, ids: Ids | None) -> tuple[np.ndarray | None, int]:
    if ids is None:
        return None, 0
    found = positions(bundle.items, list(ids))
    return found[found >= 0], int((found < 0).sum())
