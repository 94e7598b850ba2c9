"""The items of a bundle that may be recommended, and their re-ranking."""

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
    """Allowed and denied items as positions, and the builder of re-ranked lists.

    Args:
        allow: the only items that may be recommended; None for all.
        deny: items that may not be recommended; None for none.
        n_unknown_allowed: allowed ids that the bundle does not know.
        n_unknown_denied: denied ids that the bundle does not know.
        builder: re-ranks; None without re-ranking.
    """

    allow: np.ndarray | None
    deny: np.ndarray | None
    n_unknown_allowed: int
    n_unknown_denied: int
    builder: ListBuilder | None

    @property
    def unknown(self) -> dict[str, Any]:
        """Return the fields of the results that report unknown ids and rules."""
        return {
            "n_unknown_allowed": self.n_unknown_allowed,
            "n_unknown_denied": self.n_unknown_denied,
            "unknown_rules": () if self.builder is None else self.builder.rules.unknown,
        }


def candidate_items(
    bundle: Bundle, allow: Ids | None, deny: Ids | None, rerank: Rerank
) -> CandidateItems:
    """Return the items that may be recommended under lists of ids and the rules of a re-ranking.

    Args:
        bundle: the model and its items.
        allow: ids of the only items that may be recommended; None for all.
        deny: ids of items that may not be recommended; None for none.
        rerank: the re-ranking; None for none.

    Raises:
        DataError: no allowed item is known.
        SettingsError: the re-ranking is not valid, or the items lack details that it needs.
    """
    reranking = Reranking.of(rerank)
    builder = None if reranking is None else reranking.over(item_facts(bundle))
    allowed, n_unknown_allowed = _known_positions(bundle, allow)
    denied, n_unknown_denied = _known_positions(bundle, deny)
    if builder is not None and len(builder.rules.excluded):
        denied = np.union1d(builder.rules.excluded, [] if denied is None else denied)
        denied = denied.astype(np.int64)
    if allowed is not None and not len(allowed):
        reason = (
            f"none of the {n_unknown_allowed} allowed items is known"
            if n_unknown_allowed
            else "the list of allowed items is empty"
        )
        raise DataError(f"{reason}, so nothing can be recommended; check the ids")
    if allowed is not None and denied is not None:
        allowed, denied = np.setdiff1d(allowed, denied), None
    return CandidateItems(allowed, denied, n_unknown_allowed, n_unknown_denied, builder)


def _known_positions(bundle: Bundle, ids: Ids | None) -> tuple[np.ndarray | None, int]:
    """Return the positions of the known ids, and how many ids are unknown."""
    if ids is None:
        return None, 0
    columns = positions(bundle.items, list(ids))
    return columns[columns >= 0], int((columns < 0).sum())
