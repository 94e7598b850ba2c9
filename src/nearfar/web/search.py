"""Titles by what people have typed of them so far, right or nearly right."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from rapidfuzz import fuzz, process

from nearfar.bundle.titles import folded

LIKENESS = 70.0
"""Of 100; less is no typing error."""

SCORED = 200
"""Nearest titles looked at, before popularity decides between equals."""


class Search:
    """Titles that begin with a text come first, then those with a word that does, then those
    that hold it, each by popularity; where these are too few, titles that come near it.

    Near is by `fuzz.WRatio` of RapidFuzz: the best of likenesses of the whole texts, of a part
    of the longer one, and of their words in any order.

    Args:
        titles: of the items, None where one has none.
        popularity: of the items.
    """

    def __init__(self, titles: Sequence[str | None], popularity: Int[np.ndarray, " items"]) -> None:
        order = np.argsort(-np.asarray(popularity), kind="stable").tolist()
        self._positions = [p for p in order if titles[p] is not None]
        self._texts = [_plain(str(titles[p])) for p in self._positions]

    def find(self, query: str, limit: int) -> list[int]:
        """The positions of at most `limit` items, best first."""
        text = _plain(query)
        if not text:
            return []
        begins, words, holds = [], [], []
        for rank, title in enumerate(self._texts):
            at = title.find(text)
            if at == 0:
                begins.append(rank)
            elif at > 0:
                (words if f" {text}" in title else holds).append(rank)
            if len(begins) == limit:
                break
        found = [*begins, *words, *holds][:limit]
        if len(found) < limit:
            known = set(found)
            found += [r for r in self._near(text, limit + len(found)) if r not in known]
        return [self._positions[rank] for rank in found[:limit]]

    def _near(self, text: str, limit: int) -> list[int]:
        near = process.extract(
            text, self._texts, scorer=fuzz.WRatio, limit=max(limit, SCORED), score_cutoff=LIKENESS
        )
        return [rank for _, _, rank in sorted(near, key=lambda n: (-round(n[1]), n[2]))][:limit]


def _plain(text: str) -> str:
    """Text without case, accents and punctuation, so that "wall e" finds "WALL·E"."""
    return " ".join(re.findall(r"\w+", folded(text)))
