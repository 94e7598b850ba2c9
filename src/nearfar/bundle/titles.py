"""Finding items by what people type for a title."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import defaultdict
from functools import cached_property

import numpy as np
import polars as pl

from nearfar.core.vocabulary import Vocabulary

ARTICLES = (
    *("the", "a", "an", "le", "la", "les", "l'", "un", "une", "el", "los", "las", "una"),
    *("il", "lo", "gli", "i", "der", "die", "das", "ein", "eine", "het", "de", "o", "os", "as"),
)
SHORT_LISTED = 100
MIN_LIKENESS = 0.5
CONTAINED = 0.85
YEAR = re.compile(r"\s*\((\d{4})(?:\s*[-–]\s*(?:\d{4})?)?\)$")
LAST_ARTICLE = re.compile(rf"^(.+), ({'|'.join(ARTICLES)})$")
BRACKETED = re.compile(r"\s*\(([^()]*)\)")


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
        titles = [] if items.titles is None else items.titles.cast(pl.String).to_list()
        self.present = bool(titles)
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

    def suggest(self, text: str, n: int = 3) -> list[int]:
        """The positions of the n items whose titles are nearest, best first."""
        wanted, _ = split_year(text)
        pairs = sorted({wanted[i : i + 2] for i in range(len(wanted) - 1)})
        if not pairs or not len(self._keys):
            return []
        likeness = []
        for row in self._short_list(wanted, pairs):
            key = self._keys[row]
            ratio = difflib.SequenceMatcher(None, wanted, key).ratio()
            if f" {_words(wanted)} " in f" {_words(key)} ":
                ratio = max(ratio, CONTAINED)
            if ratio >= MIN_LIKENESS:
                positions = self._undated[key]
                likeness += [(-ratio, -int(self.popularity[p]), p) for p in positions]
        return [p for _, _, p in sorted(likeness)[:n]]

    def _short_list(self, wanted: str, pairs: list[str]) -> list[int]:
        """Rows of the keys that share most pairs of letters with the text, or contain it."""
        keys = pl.col("key")
        shared = pl.sum_horizontal(
            keys.str.contains(p, literal=True).cast(pl.Int32) for p in pairs[:60]
        )
        frame = pl.DataFrame({"key": self._keys}).with_row_index("row")
        frame = frame.select(
            "row",
            (2 * shared / (len(pairs) + keys.str.len_chars())).alias("dice"),
            keys.str.contains(wanted, literal=True).alias("holds"),
        )
        best = frame.top_k(SHORT_LISTED, by="dice")["row"].to_list()
        holding = frame.filter("holds")["row"].head(SHORT_LISTED).to_list()
        return sorted({*best, *holding})

    @cached_property
    def _keys(self) -> pl.Series:
        return pl.Series("key", list(self._undated), dtype=pl.String)


def folded(text: str) -> str:
    """Text without case, accents and needless spaces."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(text.casefold().split())


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text))


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
