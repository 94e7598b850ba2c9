"""A batch of requests answered at once, in the scoring thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from nearfar.core.ranking import Ranking
from nearfar.web.diversity import HISTORY, mmr, pool_size
from nearfar.web.explanation import TRIED, Carried, carried_by
from nearfar.web.rows import csr_of_lists
from nearfar.web.scorers.scorer import Scorer


@dataclass(frozen=True, eq=False)
class Wanted:
    """One history, and what is asked for it.

    Args:
        history: positions, each once, in the order given.
        excluded: positions that are no candidates, sorted.
        k: how many items.
        diversity: see `mmr`.
        explain: whether to tell what carried each.
    """

    history: Int[np.ndarray, " items"]
    excluded: Int[np.ndarray, " excluded"]
    k: int
    diversity: float = 0.0
    explain: bool = False

    @property
    def cost(self) -> int:
        """Histories to be scored for it."""
        return 1 + (min(len(self.history), TRIED) if self.explain else 0)


@dataclass(frozen=True, eq=False)
class Found:
    """The best items for one history, best first.

    Args:
        items: positions; fewer than asked for where there are no more candidates.
        scores: the model's own.
        carried: what carried each, where that was asked for.
    """

    items: Int[np.ndarray, " found"]
    scores: np.ndarray
    carried: list[Carried] | None = None


def answer(scorer: Scorer, wanted: Sequence[Wanted]) -> list[Found]:
    """What is asked for several histories, by one call of the model's `top_k`."""
    n_items = len(scorer.items)
    sizes = [pool_size(w.k, n_items) if w.diversity else min(w.k, n_items) for w in wanted]
    histories = csr_of_lists([np.sort(w.history) for w in wanted], n_items)
    excluded = csr_of_lists([w.excluded for w in wanted], n_items)
    ranking = scorer.top_k(histories, max(sizes), excluded)
    return [
        _finish(scorer, one, ranking, row, size)
        for row, (one, size) in enumerate(zip(wanted, sizes, strict=True))
    ]


def _finish(scorer: Scorer, wanted: Wanted, ranking: Ranking, row: int, size: int) -> Found:
    items, scores = ranking.items[row, :size], ranking.scores[row, :size]
    there = items >= 0
    # Copies, or a small answer would keep the whole batch's arrays.
    items, scores = items[there].copy(), scores[there].copy()
    if wanted.diversity and len(items):
        known = wanted.history[-HISTORY:]
        alike = scorer.similarities(items, np.concatenate([items, known]))
        of_pool, of_history = alike[:, : len(items)], alike[:, len(items) :]
        familiar = of_history.max(1) if len(known) else np.zeros(len(items))
        chosen = mmr(scores, of_pool, familiar, wanted.k, wanted.diversity)
        items, scores = items[chosen], scores[chosen]
    carried = carried_by(scorer, wanted.history, items) if wanted.explain else None
    return Found(items, scores, carried)
