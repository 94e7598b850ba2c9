"""Finds items by typed titles."""

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
    """An index of items by title that ignores small differences.

    Case, accents and extra spaces do not matter; "The X" equals "X, The"; the year "(1995)" and
    other titles in brackets are optional. The most exact match wins.

    Args:
        items: ids with a "title" among their details; without titles nothing is found.
        popularity: number of users per item; items with the same title are sorted by it.
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
        """Return the positions of the items with this title, the most popular first.

        A title typed with a year does not match a title with another year.
        """
        body, year = split_year(text)
        lookups = [(self._exact, folded(text)), (self._dated, body + year)]
        if not year:
            lookups.append((self._undated, body))
        lookups.append((self._parts, body + year))
        if year:
            lookups.append((self._dated, body))
        for table, key in lookups:
            if key in table:
                return sorted(set(table[key]), key=lambda p: (-self.popularity[p], p))
        return []

    def suggest(self, text: str) -> list[int]:
        """Return the positions of the three items with the most similar titles, best first.

        A year in the text is ignored: it may be the mistake.
        """
        return self.search.find(split_year(text)[0], N_SUGGESTED)

    @cached_property
    def search(self) -> TitleSearch:
        """The search by parts of titles or similar titles; built at the first use."""
        return TitleSearch(self._titles, self.popularity)


def split_year(title: str) -> tuple[str, str]:
    """Return the folded title with its articles in front, and its year as " (1995)" or ""."""
    text = folded(title)
    match = YEAR.search(text)
    year = f" ({match[1]})" if match else ""
    body = text[: match.start()] if match else text
    main, bracket, inside = body.partition(" (")
    tail = BRACKETED.sub(lambda m: f" ({_article_first(m[1])})", bracket + inside)
    return _article_first(main) + tail, year


def _parts(title: str) -> list[str]:
    """Return the titles before and inside the brackets; none without brackets besides the year."""
    body, _ = split_year(title)
    bracketed = BRACKETED.findall(body)
    if not bracketed:
        return []
    other_titles = [part.removeprefix("a.k.a. ").removeprefix("aka ") for part in bracketed]
    return [_article_first(p) for p in (BRACKETED.sub("", body).strip(), *other_titles) if p]


def _article_first(text: str) -> str:
    """Return "x, the" as "the x"."""
    match = LAST_ARTICLE.match(text)
    if not match:
        return text
    space = "" if match[2].endswith("'") else " "
    return f"{match[2]}{space}{match[1]}"
