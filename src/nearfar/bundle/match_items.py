"""Matches typed ids and titles to the items of a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from nearfar.bundle.bundle import Bundle, check_bundle
from nearfar.core.errors import DataError

By = Literal["auto", "id", "title"]
N_SUGGESTIONS = 5


@dataclass(frozen=True)
class Candidate:
    """An item as messages name it."""

    position: int
    id: int | str
    title: str | None

    def __str__(self) -> str:
        return f"{self.id}" if self.title is None else f"{self.title!r} (id {self.id})"


@dataclass(frozen=True)
class Match:
    """The result for one text: an item, or the candidates if it is ambiguous or unknown.

    Attributes:
        text: the text as typed.
        item: the item; None if the text is ambiguous or unknown.
        candidates: the items with this title if ambiguous; those with similar titles if unknown.
        ambiguous: whether several items have this title.
    """

    text: str
    item: Candidate | None
    candidates: tuple[Candidate, ...] = ()
    ambiguous: bool = False

    def problem(self) -> str | None:
        """Return one line with the problem and what to type instead; None if the item is clear."""
        if self.item is not None:
            return None
        names = ", ".join(map(str, self.candidates[:N_SUGGESTIONS]))
        if self.ambiguous:
            n_more = len(self.candidates) - N_SUGGESTIONS
            more = f" and {n_more} more" if n_more > 0 else ""
            return f"{self.text!r} is the title of {names}{more}; give the id"
        return f"{self.text!r} is unknown" + (f"; near it: {names}" if names else "")


@dataclass(frozen=True)
class Matches:
    """The results for several texts, in their order."""

    matches: tuple[Match, ...]
    n_items: int

    @property
    def found(self) -> list[Candidate]:
        """The items that were matched, each once, in the order typed."""
        items = {m.item.position: m.item for m in self.matches if m.item is not None}
        return list(items.values())

    @property
    def unknown(self) -> list[Match]:
        """The texts that no item is called."""
        return [m for m in self.matches if m.item is None and not m.ambiguous]

    @property
    def ambiguous(self) -> list[Match]:
        """The texts that are the title of several items."""
        return [m for m in self.matches if m.ambiguous]

    @property
    def positions(self) -> np.ndarray:
        """The positions of `found` (int64)."""
        return np.array([item.position for item in self.found], np.int64)

    @property
    def problems(self) -> list[str]:
        """One line per text that was not matched."""
        return [line for m in self.matches if (line := m.problem()) is not None]

    def history(self) -> csr_array:
        """Return the matched items as one history."""
        columns = np.sort(self.positions)
        indptr = np.array([0, len(columns)])
        data = np.ones(len(columns), np.float32)
        return csr_array((data, columns, indptr), shape=(1, self.n_items))


def match_items(bundle: Bundle, texts: str | Sequence[str], by: By = "auto") -> Matches:
    """Match texts to items by id or title.

    Args:
        bundle: the items.
        texts: ids or titles as typed.
        by: "id"; "title" (see `TitleIndex` for which differences are ignored); or "auto": the id
            if it exists, else the title.

    Raises:
        DataError: no text matches an item, or `by` is "title" and the bundle has no titles.

    Examples:
        >>> nf.match_items(bundle, ["0", "3"]).positions
        array([0, 2])
    """
    check_bundle(bundle)
    if isinstance(texts, str):
        texts = split_items(bundle, [texts])
    if by not in ("auto", "id", "title"):
        raise DataError(f"by is {by!r}; 'auto', 'id' or 'title' was expected")
    if by == "title" and not bundle.titles.present:
        raise DataError("this bundle has no titles; give ids")
    stripped = [str(text).strip() for text in texts]
    ids = np.full(len(stripped), -1)
    if by != "title" and stripped:
        ids = bundle.items.index(stripped)
    matches = tuple(
        Match(text, _candidate(bundle, int(position)))
        if position >= 0
        else _by_title(bundle, text, by)
        for text, position in zip(stripped, ids, strict=True)
    )
    result = Matches(matches, bundle.n_items)
    if matches and not result.found:
        raise DataError(f"no item was matched: {' | '.join(result.problems)}")
    return result


def split_items(bundle: Bundle, texts: Sequence[str]) -> list[str]:
    """Split texts into items: at semicolons, else at commas, unless the whole text is an item."""
    parts: list[str] = []
    for text in texts:
        separator = next((mark for mark in ";," if mark in text), None)
        if separator is None or _is_item(bundle, text):
            parts.append(text)
        else:
            parts += text.split(separator)
    return [part.strip() for part in parts if part.strip()]


def _is_item(bundle: Bundle, text: str) -> bool:
    try:
        return bool(match_items(bundle, [text]).found)
    except DataError:
        return False


def _by_title(bundle: Bundle, text: str, by: By) -> Match:
    exact = [] if by == "id" else bundle.titles.find(text)
    if len(exact) == 1:
        return Match(text, _candidate(bundle, exact[0]))
    # A missing leading zero of an id is more likely than a misspelt title.
    positions = exact or bundle.items.alike(text) or bundle.titles.suggest(text)
    candidates = tuple(_candidate(bundle, p) for p in positions)
    return Match(text, None, candidates, ambiguous=bool(exact))


def _candidate(bundle: Bundle, position: int) -> Candidate:
    titles = bundle.items.titles
    title = None if titles is None else titles[position]
    return Candidate(position, bundle.items.ids[position], title)
