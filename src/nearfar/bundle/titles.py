"""Finding items by what people type for a title."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cached_property

import numpy as np
import polars as pl

from nearfar.bundle.title_search import TitleSearch, folded
from nearfar.core.vocabulary import Vocabulary

ARTICLES = (
    *("the", "a", "an", "le", "la", "les", "l'", "un", "une", "el", "los", "las", "una"),
    *("il", "lo", "gli", "i", "der", "die", "das", "ein", "eine", "het", "de", "o", "os", "as"),
)
YEAR = re.compile(r"\s*\((\d{4})(?:\s*[-–]\s*(?:\d{4})?)?\)$")
LAST_ARTICLE = re.compile(rf"^(.+), ({'|'.join(ARTICLES)})$")
BRACKETED = re.compile(r"\s*\(([^()]*)\)")
N_SUGGESTED = 3


class TitleIndex:
    """Items by title, told apart as little as people do.

    Case, accents and spaces do not count; "The X" is "X, The"; the year "(1995)" may be left
    out, and so may another title in brackets. What is written more exactly wins.

    Args:
        items: ids with a "title" among their details; without it nothing is found.
        popularity: orders what is otherwise equal.
    """

    def __init__(self, items: Vocabulary, popularity: np.ndarray) -> None:
        self.popularity = popularity
        self.present = items.titles is not None
        titles: list[str | None] = [None] * len(items)
        if items.titles is not None:
            titles = items.titles.cast(pl.String).to_list()
        self._titles = titles
        self._exact: dict[str, list[int]] = defaultdict(list)
        self._dated: dict[str, list[int]] = defaultdict(list)
        self._undated: dict[str, list[int]] = defaultdict(list)
        self._parts: dict[str, list[int]] = defaultdict(list)
        for position, title in enumerate(titles):
            if title is not None:
                self._add(position, title)

    def _add(self, position: int, title: str) -> None:
        self._exact[folded(title)].append(position)
        body, year = split_year(title)
        self._dated[body + year].append(position)
        self._undated[body].append(position)
        for part in _parts(title):
            for key in {part, part + year}:
                self._parts[key].append(position)

    def find(self, text: str) -> list[int]:
        """The positions of the items of that title, the most popular first; often one or none.

        A title typed with its year is not found under another year.
        """
        body, year = split_year(text)
        looks = [(self._exact, folded(text)), (self._dated, body + year)]
        if not year:
            looks.append((self._undated, body))
        looks.append((self._parts, body + year))
        if year:
            looks.append((self._dated, body))
        for table, key in looks:
            if key in table:
                return sorted(set(table[key]), key=lambda p: (-self.popularity[p], p))
        return []

    def suggest(self, text: str) -> list[int]:
        """Return the positions of the three items whose titles are nearest, best first.

        A year in the text does not count: it may be the mistake.
        """
        return self.search.find(split_year(text)[0], N_SUGGESTED)

    @cached_property
    def search(self) -> TitleSearch:
        """The search for titles by a part of them, or by what comes near; made when first used."""
        return TitleSearch(self._titles, self.popularity)


def split_year(title: str) -> tuple[str, str]:
    """A title folded, its articles in front, and its year as " (1995)", or ""."""
    text = folded(title)
    found = YEAR.search(text)
    year = f" ({found[1]})" if found else ""
    body = text[: found.start()] if found else text
    main, bracket, rest = body.partition(" (")
    tail = BRACKETED.sub(lambda m: f" ({_article_first(m[1])})", bracket + rest)
    return _article_first(main) + tail, year


def _parts(title: str) -> list[str]:
    """The titles before and in the brackets, where there are brackets but those of the year."""
    body, _ = split_year(title)
    inside = BRACKETED.findall(body)
    if not inside:
        return []
    others = [part.removeprefix("a.k.a. ").removeprefix("aka ") for part in inside]
    return [_article_first(p) for p in (BRACKETED.sub("", body).strip(), *others) if p]


def _article_first(text: str) -> str:
    found = LAST_ARTICLE.match(text)
    if not found:
        return text
    gap = "" if found[2].endswith("'") else " "
    return f"{found[2]}{gap}{found[1]}"
