"""Searches titles while they are typed, and tolerates typing errors."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Int, Int32, UInt8

LIKENESS = 70.0
"""Minimum similarity of RapidFuzz, of 100, for a text to count as misspelt."""

CANDIDATES = 500
"""Number of titles compared letter by letter: those that share most trigrams with the text."""

MAX_ENTRIES = 60_000
"""Entries of the index that are read to find the candidates, from the rarest trigram on."""

BUCKETS = 1 << 16
BUILD_TITLES = 1 << 17
"""Titles per step of the index's construction."""

CHUNK = 4096
"""Candidates in the first step; each further step has four times as many."""


class TitleSearch:
    """Finds titles by a part of them, with a trigram index.

    Titles that begin with the text come first, then titles with a word that begins with it, then
    titles that contain it, each by popularity. If these are too few, similar titles follow.

    Similarity is `fuzz.WRatio` of RapidFuzz: the best of the similarities of the whole texts, of
    a part of the longer one, and of their words in any order. It is computed only for titles that
    share most trigrams with the text, so a search among a million titles takes milliseconds. The
    index takes about 130 bytes per title.

    Args:
        titles: the items' titles; None for an item without one.
        popularity: number of users per item.
    """

    def __init__(self, titles: Sequence[str | None], popularity: Int[np.ndarray, " items"]) -> None:
        order = np.argsort(-np.asarray(popularity), kind="stable")
        has_title = np.fromiter((t is not None for t in titles), bool, len(titles))
        self._positions = order[has_title[order]]
        texts = _plain_all([str(titles[p]) for p in self._positions.tolist()])
        self._alphabetical = texts.arg_sort().to_numpy().astype(np.int32)
        # Spaces around the text make the beginnings of words distinct trigrams.
        records = (pl.lit(" ") + pl.col("text") + pl.lit(" \n")).alias("record")
        lines = pl.DataFrame({"text": texts}).select(records)["record"]
        self._ends = np.cumsum(lines.str.len_bytes().to_numpy().astype(np.int64))
        self._buffer = "".join(lines.to_list()).encode()
        self._index = _Trigrams(np.frombuffer(self._buffer, np.uint8), self._ends)

    def __len__(self) -> int:
        return len(self._positions)

    def find(self, query: str, limit: int, *, near: bool = True) -> list[int]:
        """Return the positions of at most `limit` items, best first.

        Args:
            query: the text as typed.
            limit: maximum number of items, at least 1.
            near: whether to add titles that are only similar to the text.
        """
        text = _plain(query).encode()
        if not text or not len(self):
            return []
        ranks = self._beginning_with(text, limit)
        for needle in (b" " + text, text):
            if len(ranks) < limit:
                ranks += self._containing(needle, limit - len(ranks), set(ranks))
        if near and len(ranks) < limit:
            known = set(ranks)
            ranks += [rank for rank in self._similar(text) if rank not in known]
        return self._positions[ranks[:limit]].tolist()

    def _text(self, rank: int) -> bytes:
        """Return the title of a rank (0 is the most popular), without case and punctuation."""
        start = self._ends[rank - 1] if rank else 0
        return self._buffer[start + 1 : self._ends[rank] - 2]

    def _beginning_with(self, text: bytes, limit: int) -> list[int]:
        """Return the ranks of titles that begin with a text, the most popular first."""
        order, length = self._alphabetical, len(text)
        first = bisect_left(order, text, key=self._text)
        last = bisect_right(order, text, lo=first, key=lambda rank: self._text(rank)[:length])
        ranks = order[first:last]
        if len(ranks) > limit:
            ranks = np.partition(ranks, limit - 1)[:limit]
        return np.sort(ranks).tolist()

    def _containing(self, needle: bytes, limit: int, known: set[int]) -> list[int]:
        """Return the ranks of titles that contain some bytes, the most popular first.

        Args:
            needle: the bytes.
            limit: maximum number of titles.
            known: ranks to leave out.
        """
        lists = self._index.lists(needle)
        if not lists:
            return self._scan(needle, limit, known)
        rarest, *others = lists
        matches: list[int] = []
        start, size = 0, CHUNK
        while start < len(rarest) and len(matches) < limit:
            ranks = rarest[start : start + size]
            start, size = start + size, 4 * size
            for other in others:
                indices = np.minimum(np.searchsorted(other, ranks), len(other) - 1)
                ranks = ranks[other[indices] == ranks]
            for rank in ranks.tolist():
                # The space before a title may match; the one after it may not.
                if rank not in known and needle in b" " + self._text(rank):
                    matches.append(rank)
                    if len(matches) == limit:
                        break
        return matches

    def _scan(self, needle: bytes, limit: int, known: set[int]) -> list[int]:
        """Return the same as `_containing`, without the index, for a text of one or two bytes."""
        matches: list[int] = []
        offset = self._buffer.find(needle)
        while offset >= 0 and len(matches) < limit:
            rank = int(np.searchsorted(self._ends, offset, "right"))
            if rank not in known and needle in b" " + self._text(rank):
                matches.append(rank)
            offset = self._buffer.find(needle, self._ends[rank])
        return matches

    def _similar(self, text: bytes) -> list[int]:
        """Return the ranks of titles similar to a text, the most similar first."""
        from rapidfuzz import fuzz, process  # imported here because most commands never search

        candidates = self._index.sharing(b" " + text + b" ", CANDIDATES)
        texts = [self._text(rank).decode() for rank in candidates]
        query = text.decode()
        similar = process.extract(
            query, texts, scorer=fuzz.WRatio, limit=None, score_cutoff=LIKENESS
        )
        # Parts of several titles are often equally similar; the similarity of the whole decides.
        ranked = sorted(
            (-round(likeness), -round(fuzz.ratio(query, title)), candidates[row])
            for title, likeness, row in similar
        )
        return [rank for *_, rank in ranked]


class _Trigrams:
    """An index from the trigrams of titles, hashed into buckets, to the titles' ranks.

    Args:
        data: the bytes of all titles; each ends in a line break.
        ends: where the bytes of each title end.
    """

    def __init__(self, data: UInt8[np.ndarray, " bytes"], ends: Int[np.ndarray, " titles"]) -> None:
        self._sizes = np.zeros(len(ends), np.uint16)
        counts = np.zeros(BUCKETS, np.int64)
        pairs = []
        for first in range(0, len(ends), BUILD_TITLES):
            last = min(first + BUILD_TITLES, len(ends))
            starts = np.concatenate([ends[first - 1 : first] if first else [0], ends[first:last]])
            buckets, titles = _pairs(data[starts[0] : starts[-1]], np.diff(starts))
            self._sizes[first:last] = np.bincount(titles, minlength=last - first)
            counts += np.bincount(buckets, minlength=BUCKETS)
            pairs.append((buckets, titles + np.int32(first)))
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._ranks: Int32[np.ndarray, " entries"] = np.empty(self._starts[-1], np.int32)
        next_entries = self._starts[:-1].copy()
        for buckets, ranks in pairs:
            sizes = np.bincount(buckets, minlength=BUCKETS)
            offsets = np.arange(len(buckets)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            self._ranks[next_entries[buckets] + offsets] = ranks
            next_entries += sizes

    def lists(self, text: bytes) -> list[Int32[np.ndarray, " ranks"]]:
        """Return the sorted ranks of each trigram of a text, the shortest list first."""
        buckets = np.unique(_buckets(np.frombuffer(text, np.uint8))).tolist()
        lists = [self._ranks[self._starts[b] : self._starts[b + 1]] for b in buckets]
        return sorted(lists, key=len)

    def sharing(self, text: bytes, n: int) -> list[int]:
        """Return the ranks of the n titles that share most trigrams with a text.

        Of titles that share as many, shorter ones are preferred.
        """
        lists = self.lists(text)
        sizes = np.cumsum([len(ranks) for ranks in lists])
        rarest = lists[: max(1, int(np.searchsorted(sizes, MAX_ENTRIES, "right")))]
        if not rarest or not sizes[len(rarest) - 1]:
            return []
        entries = np.sort(np.concatenate(rarest))
        firsts = np.flatnonzero(np.concatenate([[True], entries[1:] != entries[:-1]]))
        ranks, n_shared = entries[firsts], np.diff(firsts, append=len(entries))
        likeness = n_shared + 2 * n_shared / (len(lists) + self._sizes[ranks])
        if len(ranks) > n:
            ranks = ranks[np.argpartition(-likeness, n - 1)[:n]]
        return np.sort(ranks).tolist()


def _pairs(
    data: UInt8[np.ndarray, " bytes"], lengths: Int[np.ndarray, " titles"]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the unique pairs of a bucket and a title with such a trigram, sorted."""
    titles = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    buckets = _buckets(data)
    inside = (data[:-2] != 10) & (data[1:-1] != 10) & (data[2:] != 10)
    titles, buckets = titles[: len(buckets)][inside], buckets[inside]
    # Titles are in order, so a stable sort makes equal pairs adjacent.
    order = np.argsort(buckets, kind="stable")
    titles, buckets = titles[order], buckets[order]
    first = np.ones(len(titles), bool)
    first[1:] = (titles[1:] != titles[:-1]) | (buckets[1:] != buckets[:-1])
    return buckets[first], titles[first]


def _buckets(data: UInt8[np.ndarray, " bytes"]) -> np.ndarray:
    """Return the bucket of the three bytes at each offset (uint16)."""
    if len(data) < 3:
        return np.empty(0, np.uint16)
    code = data[:-2].astype(np.uint32) << 16 | data[1:-1].astype(np.uint32) << 8 | data[2:]
    # Fibonacci hashing: the upper bits of the product with 2^32 over the golden ratio.
    return (code * np.uint32(2654435769) >> np.uint32(16)).astype(np.uint16)


def folded(text: str) -> str:
    """Return a text without case, accents and extra spaces."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(text.casefold().split())


def _plain(text: str) -> str:
    """Return a text without case, accents and punctuation, so that "wall e" finds "WALL·E"."""
    return " ".join(re.findall(r"\w+", folded(text)))


def _plain_all(texts: Sequence[str]) -> pl.Series:
    """Return `_plain` of many texts; ASCII texts, usually nearly all, are converted by Polars."""
    series = pl.Series("text", texts, dtype=pl.String)
    plain = series.str.to_lowercase().str.replace_all(r"[^a-z0-9_]+", " ").str.strip_chars(" ")
    non_ascii = np.flatnonzero((series.str.len_bytes() != series.str.len_chars()).to_numpy())
    if len(non_ascii):
        exact = [_plain(texts[row]) for row in non_ascii.tolist()]
        plain = plain.scatter(non_ascii.tolist(), exact)
    return plain
