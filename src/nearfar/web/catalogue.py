"""Looks up a model's items by id, by title, or by typed text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from jaxtyping import Int

from nearfar.bundle.extended_catalogue import PLACED_BY
from nearfar.bundle.titles import TitleIndex
from nearfar.core.identity import key_of
from nearfar.core.vocabulary import Vocabulary
from nearfar.web.scoring import ScoringResult

N_SUGGESTIONS = 3
MAX_NEAR = 10
"""Titles of a request that are compared letter by letter."""

ItemId = int | str
IsAwaited = Callable[[], bool]
"""Returns whether a client still waits for the answer."""

DIGITS = 6
"""Significant decimal digits of a float32."""


@dataclass(frozen=True)
class Unmatched:
    """A title of no item or several, with the positions of candidates."""

    title: str
    candidates: tuple[int, ...]


class Catalogue:
    """Looks up items by id and title.

    Ids are kept in a dictionary of about 150 bytes per item: a request looks up a few, which is a
    thousand times faster than a join. The JSON of items is cached, about as many bytes again.

    Args:
        items: ids, and titles if there are any.
        popularity: number of users per item; items with the same title are sorted by it.
        n_trained: number of items the model was trained on; the others are new. None for all.
    """

    def __init__(
        self,
        items: Vocabulary,
        popularity: Int[np.ndarray, " items"],
        n_trained: int | None = None,
    ) -> None:
        self.ids: list[ItemId] = items.ids.to_list()
        titles = items.titles
        self.titles: list[str | None] = (
            [None] * len(self.ids)
            if titles is None
            else [None if t is None else str(t) for t in titles]
        )
        self.n_trained = len(self.ids) if n_trained is None else n_trained
        self._features = _features_of(items, self.n_trained)
        self._integer = items.is_integer
        self._position = {value: position for position, value in enumerate(self.ids)}
        self._popularity = popularity
        self._json = _ItemJson(self.item)
        self._title_by_id = _TitleById(self)
        self._by_title = TitleIndex(items, popularity)
        _ = self._by_title.search  # built now, not while a request waits

    def __len__(self) -> int:
        return len(self.ids)

    def position(self, item: ItemId) -> int:
        """Return the position of an item by the rule of `core.identity`; -1 if it is unknown."""
        if isinstance(item, str) and item in self._position:
            return self._position[item]
        key = key_of(item, integer=self._integer)
        return -1 if key is None else self._position.get(key, -1)

    def positions(self, items: Sequence[ItemId]) -> tuple[list[int], list[ItemId]]:
        """Return the positions of the known items, each once and in order, and the unknown ids."""
        get = self._position.get
        exact = dict.fromkeys([get(item, -1) for item in items])
        if -1 not in exact:
            return list(exact), []
        known: dict[int, None] = {}
        unknown = []
        for item in items:
            position = self.position(item)
            if position < 0:
                unknown.append(item)
            else:
                known[position] = None
        return list(known), unknown

    def titles_of(self, items: Iterable[ItemId]) -> list[str | None]:
        """Return the title of each item; None for an unknown item or one without a title."""
        return [self._title_by_id[item] for item in items]

    def is_new(self, item: ItemId) -> bool:
        """Return whether the item was added after the model was trained."""
        return self.n_trained < len(self.ids) and self.position(item) >= self.n_trained

    def match(
        self, is_awaited: IsAwaited, titles: Sequence[str]
    ) -> tuple[list[int], list[Unmatched]]:
        """Return the items with these titles, and the titles of no item or several.

        The candidates of the first `MAX_NEAR` unknown titles include similar titles; those of
        the others only titles that contain the text.

        Args:
            is_awaited: returns whether to continue.
            titles: titles as typed.
        """
        matched: list[int] = []
        unmatched = []
        n_unknown = 0
        for title in titles:
            if not is_awaited():
                break
            positions = self._by_title.find(title)
            if len(positions) == 1:
                matched += positions
                continue
            candidates = positions[:N_SUGGESTIONS]
            if not positions:
                candidates = self._search(title, N_SUGGESTIONS, near=n_unknown < MAX_NEAR)
                n_unknown += 1
            unmatched.append(Unmatched(title, tuple(candidates)))
        return matched, unmatched

    def search(self, is_awaited: IsAwaited, query: str, limit: int) -> list[int]:
        """Return the items whose id or title matches a typed text, best first.

        Args:
            is_awaited: returns whether to continue.
            query: text as typed.
            limit: maximum number of items.
        """
        return self._search(query, limit) if is_awaited() else []

    def _search(self, query: str, limit: int, *, near: bool = True) -> list[int]:
        text = query.strip()
        by_id = self.position(text)
        positions = [by_id] if by_id >= 0 else []
        positions += [p for p in self._by_title.search.find(text, limit, near=near) if p != by_id]
        return positions[:limit]

    def item(self, position: int) -> dict[str, Any]:
        """Return an item as responses show it."""
        new = position >= self.n_trained
        return {"item": self.ids[position], "title": self.titles[position], "new": new}

    def item_with_popularity(self, position: int) -> dict[str, Any]:
        """Return an item as responses of searches show it."""
        return {**self.item(position), "popularity": int(self._popularity[position])}

    def recommendations(self, result: ScoringResult) -> list[dict[str, Any]]:
        """Return recommended items as responses list them."""
        ids, titles, n_trained = self.ids, self.titles, self.n_trained
        # orjson writes a float32 with its own digits, and one that is not finite as null.
        recommendations: list[dict[str, Any]] = [
            {"rank": rank, "item": ids[p], "title": titles[p], "new": p >= n_trained,
             "score": score, "because": None}
            for rank, (p, score) in enumerate(
                zip(result.items.tolist(), result.scores, strict=True), 1
            )
        ]  # fmt: skip
        if result.carriers is not None:
            positions = result.items.tolist()
            for entry, p, carriers in zip(recommendations, positions, result.carriers, strict=True):
                entry["because"] = [
                    {**self.item(p), "share": round(share, 4)} for p, share in carriers
                ]
                entry["features"] = self._features.get(p, []) if p >= n_trained else None
        return recommendations

    def listed(self, positions: Iterable[int]) -> orjson.Fragment:
        """Return items as responses list them, in JSON."""
        return orjson.Fragment(b"[%b]" % b",".join(map(self._json.__getitem__, positions)))


def _features_of(items: Vocabulary, n_trained: int) -> dict[int, list[str]]:
    """Return the main features of the new items, by position."""
    if PLACED_BY not in items.details.columns:
        return {}
    rows = items.details[PLACED_BY][n_trained:].to_list()
    return {n_trained + at: row for at, row in enumerate(rows) if row}


class _ItemJson(dict[int, bytes]):
    """Maps positions to the JSON of items, made at the first use."""

    def __init__(self, item: Callable[[int], dict[str, Any]]) -> None:
        self._item = item

    def __missing__(self, position: int) -> bytes:
        self[position] = text = orjson.dumps(self._item(position))
        return text


class _TitleById(dict[ItemId, str | None]):
    """Maps ids, as numbers or text, to titles, added at the first use."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def __missing__(self, item: ItemId) -> str | None:
        position = self._catalogue.position(item)
        if position < 0:
            return None
        title, exact = self._catalogue.titles[position], self._catalogue.ids[position]
        # Other spellings are not cached: there is no limit to their number.
        if item in (exact, str(exact)):
            self[item] = title
        return title


def rounded(value: float) -> float | None:
    """Return a score with the digits of a float32; None if it is not finite."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
