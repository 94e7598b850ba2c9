"""What people type for items - ids or titles - matched to the items of a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from nearfar.bundle.bundle import Bundle, check_bundle
from nearfar.core.errors import DataError

By = Literal["auto", "id", "title"]
N_SHOWN = 5


@dataclass(frozen=True)
class Candidate:
    """An item, as people are told of it."""

    position: int
    id: int | str
    title: str | None

    def __str__(self) -> str:
        return f"{self.id}" if self.title is None else f"{self.title!r} (id {self.id})"


@dataclass(frozen=True)
class Match:
    """What became of one text: an item; or several that it could be; or the nearest ones.

    Attributes:
        text: as typed.
        item: the item, where it is clear.
        candidates: otherwise the items that are called so, or whose titles come near.
        ambiguous: the candidates are all called so.
    """

    text: str
    item: Candidate | None
    candidates: tuple[Candidate, ...] = ()
    ambiguous: bool = False

    def problem(self) -> str | None:
        """One line on what is wrong, and what to type instead; None where nothing is."""
        if self.item is not None:
            return None
        shown = ", ".join(map(str, self.candidates[:N_SHOWN]))
        if self.ambiguous:
            more = len(self.candidates) - N_SHOWN
            rest = f" and {more} more" if more > 0 else ""
            return f"{self.text!r} is the title of {shown}{rest}; give the id"
        return f"{self.text!r} is unknown" + (f"; near it: {shown}" if shown else "")


@dataclass(frozen=True)
class Matches:
    """What became of several texts, in their order."""

    matches: tuple[Match, ...]
    n_items: int

    @property
    def found(self) -> list[Candidate]:
        """The items that were clear, each once, in the order typed."""
        items = {m.item.position: m.item for m in self.matches if m.item is not None}
        return list(items.values())

    @property
    def unknown(self) -> list[Match]:
        return [m for m in self.matches if m.item is None and not m.ambiguous]

    @property
    def ambiguous(self) -> list[Match]:
        return [m for m in self.matches if m.ambiguous]

    @property
    def positions(self) -> np.ndarray:
        """The positions of `found` (int64)."""
        return np.array([item.position for item in self.found], np.int64)

    @property
    def problems(self) -> list[str]:
        """One line for every text that was not matched."""
        return [line for m in self.matches if (line := m.problem()) is not None]

    def history(self) -> csr_array:
        """The items found as one history."""
        columns = np.sort(self.positions)
        indptr = np.array([0, len(columns)])
        data = np.ones(len(columns), np.float32)
        return csr_array((data, columns, indptr), shape=(1, self.n_items))


def match_items(bundle: Bundle, texts: str | Sequence[str], by: By = "auto") -> Matches:
    """The items that the texts name.

    Args:
        bundle: whose items.
        texts: as people type them.
        by: "id"; "title" (see `TitleIndex` for what may differ); or "auto": the id if there is
            such an id, else the title.

    Raises:
        DataError: not one text names an item, or titles are asked for and there are none.

    Examples:
        >>> nf.match_items(bundle, ["0", "3"]).positions
        array([0, 2])
    """
    check_bundle(bundle)
    if isinstance(texts, str):
        texts = split_items(bundle, [texts])
    if by not in ("auto", "id", "title"):
        raise DataError(f"items are matched by 'auto', 'id' or 'title', not by {by!r}")
    if by == "title" and not bundle.titles.present:
        raise DataError("this bundle knows no titles; give ids")
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
        raise DataError(f"no item is clear: {' | '.join(result.problems)}")
    return result


def split_items(bundle: Bundle, texts: Sequence[str]) -> list[str]:
    """Split typed texts into items: at semicolons, else at commas unless the text is a title."""
    parts: list[str] = []
    for text in texts:
        if ";" in text:
            parts += text.split(";")
        elif "," in text and not _is_title(bundle, text):
            parts += text.split(",")
        else:
            parts.append(text)
    return [part.strip() for part in parts if part.strip()]


def _is_title(bundle: Bundle, text: str) -> bool:
    try:
        return bool(match_items(bundle, [text]).found)
    except DataError:
        return False


def _by_title(bundle: Bundle, text: str, by: By) -> Match:
    called = [] if by == "id" else bundle.titles.find(text)
    if len(called) == 1:
        return Match(text, _candidate(bundle, called[0]))
    # An id without its zeros is meant more often than a title that comes near.
    shown = called or bundle.items.alike(text) or bundle.titles.suggest(text)
    candidates = tuple(_candidate(bundle, p) for p in shown)
    return Match(text, None, candidates, ambiguous=bool(called))


def _candidate(bundle: Bundle, position: int) -> Candidate:
    titles = bundle.items.titles
    title = None if titles is None else titles[position]
    return Candidate(position, bundle.items.ids[position], title)
