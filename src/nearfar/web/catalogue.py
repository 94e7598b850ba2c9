"""The items of a model as requests name them: by id, by title, or by what people type."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from jaxtyping import Int

from nearfar.bundle.titles import TitleIndex
from nearfar.core.identity import key_of
from nearfar.core.vocabulary import Vocabulary
from nearfar.web.scoring import ScoringResult

SUGGESTED = 3
MAX_NEAR = 10
"""So many titles of a request are compared letter by letter."""

ItemId = int | str
IsAwaited = Callable[[], bool]
"""Tells whether the answer is still waited for."""

DIGITS = 6
"""So many digits does a float32 have."""


@dataclass(frozen=True)
class Unmatched:
    """A title that names no item, or several, and what could be meant."""

    title: str
    candidates: tuple[int, ...]


class Catalogue:
    """Items by id and title.

    Ids are kept in a dictionary, about 150 bytes per item: a request looks up a few, and that
    is a thousand times as fast as a join. Items once shown are kept as JSON, about as much again.

    Args:
        items: ids, and titles where there are any.
        popularity: orders what is otherwise equal.
        n_trained: how many items the model was trained on; the rest are new. None for all.
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
        self._integer = items.is_integer
        self._position = {value: position for position, value in enumerate(self.ids)}
        self._popularity = popularity
        self._json = _ItemJson(self.item)
        self._title_by_id = _TitleById(self)
        self._by_title = TitleIndex(items, popularity)
        _ = self._by_title.search  # made now, not while a request waits

    def __len__(self) -> int:
        return len(self.ids)

    def position(self, item: ItemId) -> int:
        """The position of an item by the rule of `core.identity`; -1 for an unknown one."""
        if isinstance(item, str) and item in self._position:
            return self._position[item]
        key = key_of(item, integer=self._integer)
        return -1 if key is None else self._position.get(key, -1)

    def positions(self, items: Sequence[ItemId]) -> tuple[list[int], list[ItemId]]:
        """Where items are, each once and in their order, and those that are unknown."""
        get = self._position.get
        found = dict.fromkeys([get(item, -1) for item in items])
        if -1 not in found:
            return list(found), []
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
        """Return the title of each item, None for an unknown one and one without a title."""
        return [self._title_by_id[item] for item in items]

    def is_new(self, item: ItemId) -> bool:
        """Whether the item came after the training of the model."""
        return self.n_trained < len(self.ids) and self.position(item) >= self.n_trained

    def match(
        self, is_awaited: IsAwaited, titles: Sequence[str]
    ) -> tuple[list[int], list[Unmatched]]:
        """Return the items called so, and the titles of none or several with what could be meant.

        For the first `MAX_NEAR` titles that name no item, titles that come near count too; for
        the rest only those that hold the text.

        Args:
            is_awaited: whether to go on.
            titles: as typed.
        """
        found: list[int] = []
        unmatched = []
        n_near = 0
        for title in titles:
            if not is_awaited():
                break
            called = self._by_title.find(title)
            if len(called) == 1:
                found += called
                continue
            near = called[:SUGGESTED]
            if not called:
                near = self._searched(title, SUGGESTED, near=n_near < MAX_NEAR)
                n_near += 1
            unmatched.append(Unmatched(title, tuple(near)))
        return found, unmatched

    def search(self, is_awaited: IsAwaited, query: str, limit: int) -> list[int]:
        """Return the items that people who type this may mean, best first; an id finds its item.

        Args:
            is_awaited: whether to go on.
            query: as typed.
            limit: how many items at most.
        """
        return self._searched(query, limit) if is_awaited() else []

    def _searched(self, query: str, limit: int, *, near: bool = True) -> list[int]:
        text = query.strip()
        by_id = self.position(text)
        first = [by_id] if by_id >= 0 else []
        rest = [p for p in self._by_title.search.find(text, limit, near=near) if p != by_id]
        return (first + rest)[:limit]

    def item(self, position: int) -> dict[str, Any]:
        """An item as answers show it."""
        new = position >= self.n_trained
        return {"item": self.ids[position], "title": self.titles[position], "new": new}

    def item_with_popularity(self, position: int) -> dict[str, Any]:
        """An item as searches show it."""
        return {**self.item(position), "popularity": int(self._popularity[position])}

    def recommendations(self, result: ScoringResult) -> list[dict[str, Any]]:
        """Recommended items as answers list them."""
        ids, titles, n_trained = self.ids, self.titles, self.n_trained
        # Scores stay float32, which is written with the digits that it has, or as null.
        listed: list[dict[str, Any]] = [
            {"rank": rank, "item": ids[p], "title": titles[p], "new": p >= n_trained,
             "score": score, "because": None}
            for rank, (p, score) in enumerate(
                zip(result.items.tolist(), result.scores, strict=True), 1
            )
        ]  # fmt: skip
        if result.carriers is not None:
            for entry, carriers in zip(listed, result.carriers, strict=True):
                entry["because"] = [
                    {**self.item(p), "share": round(share, 4)} for p, share in carriers
                ]
        return listed

    def listed(self, positions: Iterable[int]) -> orjson.Fragment:
        """Items as answers list them, in JSON."""
        return orjson.Fragment(b"[%b]" % b",".join(map(self._json.__getitem__, positions)))


class _ItemJson(dict[int, bytes]):
    """The JSON of items by position, made when first asked for."""

    def __init__(self, item: Callable[[int], dict[str, Any]]) -> None:
        self._item = item

    def __missing__(self, position: int) -> bytes:
        self[position] = made = orjson.dumps(self._item(position))
        return made


class _TitleById(dict[ItemId, str | None]):
    """The titles of items by id as a number and as text, added when first asked for."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def __missing__(self, item: ItemId) -> str | None:
        position = self._catalogue.position(item)
        if position < 0:
            return None
        title, exact = self._catalogue.titles[position], self._catalogue.ids[position]
        # Other spellings are not kept: there is no end to them.
        if item in (exact, str(exact)):
            self[item] = title
        return title


def rounded(value: float) -> float | None:
    """Return a score with the digits that float32 has; None for what JSON cannot hold."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
