"""Titles by what people have typed of them so far, right or nearly right."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Int, Int32, UInt8

LIKENESS = 70.0
"""Of 100; less is no typing error."""

CANDIDATES = 500
"""Titles compared letter by letter for a text: those that share most trigrams with it."""

READ = 60_000
"""Entries of the index that are read to find the candidates, from the rarest trigram on."""

BUCKETS = 1 << 16
BUILT_AT_ONCE = 1 << 17
CHUNK = 4096
"""Candidates checked at once, at first; four times as many each further time."""


class TitleSearch:
    """Titles that begin with a text come first, then those with a word that does, then those
    that hold it, each by popularity; where these are too few, titles that come near it.

    Near is by `fuzz.WRatio` of RapidFuzz: the best of likenesses of the whole texts, of a part
    of the longer one, and of their words in any order. It is computed for the titles that share
    most trigrams with the text, so that no search looks at all titles: of a million, one is found
    in milliseconds. The index takes about 130 bytes per title.

    Args:
        titles: of the items, None where one has none.
        popularity: of the items.
    """

    def __init__(self, titles: Sequence[str | None], popularity: Int[np.ndarray, " items"]) -> None:
        order = np.argsort(-np.asarray(popularity), kind="stable")
        there = np.fromiter((t is not None for t in titles), bool, len(titles))
        self._positions = order[there[order]]
        texts = _plain_all([str(titles[p]) for p in self._positions.tolist()])
        self._alphabetical = texts.arg_sort().to_numpy().astype(np.int32)
        # A space before and after, so that the beginnings of words have trigrams of their own.
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
            query: as typed.
            limit: at least 1.
            near: whether titles that only come near the text count.
        """
        text = _plain(query).encode()
        if not text or not len(self):
            return []
        found = self._beginning(text, limit)
        for needle in (b" " + text, text):
            if len(found) < limit:
                found += self._holding(needle, limit - len(found), set(found))
        if near and len(found) < limit:
            known = set(found)
            found += [rank for rank in self._near(text) if rank not in known]
        return self._positions[found[:limit]].tolist()

    def _text(self, rank: int) -> bytes:
        start = self._ends[rank - 1] if rank else 0
        return self._buffer[start + 1 : self._ends[rank] - 2]

    def _beginning(self, text: bytes, limit: int) -> list[int]:
        """Ranks of titles that begin with a text, from the most popular one on."""
        order, length = self._alphabetical, len(text)
        first = bisect_left(order, text, key=self._text)
        last = bisect_right(order, text, lo=first, key=lambda rank: self._text(rank)[:length])
        ranks = order[first:last]
        if len(ranks) > limit:
            ranks = np.partition(ranks, limit - 1)[:limit]
        return np.sort(ranks).tolist()

    def _holding(self, needle: bytes, limit: int, known: set[int]) -> list[int]:
        """Ranks of titles that hold some bytes, from the most popular one on."""
        lists = self._index.lists(needle)
        if not lists:
            return self._scanned(needle, limit, known)
        rarest, *others = lists
        found: list[int] = []
        start, size = 0, CHUNK
        while start < len(rarest) and len(found) < limit:
            ranks = rarest[start : start + size]
            start, size = start + size, 4 * size
            for other in others:
                at = np.minimum(np.searchsorted(other, ranks), len(other) - 1)
                ranks = ranks[other[at] == ranks]
            for rank in ranks.tolist():
                # The space before the text is part of it, and the one behind is not.
                if rank not in known and needle in b" " + self._text(rank):
                    found.append(rank)
                    if len(found) == limit:
                        break
        return found

    def _scanned(self, needle: bytes, limit: int, known: set[int]) -> list[int]:
        """The same for what is too short for a trigram, and so in many titles or in none."""
        found: list[int] = []
        at = self._buffer.find(needle)
        while at >= 0 and len(found) < limit:
            rank = int(np.searchsorted(self._ends, at, "right"))
            if rank not in known and needle in b" " + self._text(rank):
                found.append(rank)
            at = self._buffer.find(needle, self._ends[rank])
        return found

    def _near(self, text: bytes) -> list[int]:
        from rapidfuzz import fuzz, process  # here, since most commands never search

        candidates = self._index.sharing(b" " + text + b" ", CANDIDATES)
        texts = [self._text(rank).decode() for rank in candidates]
        query = text.decode()
        near = process.extract(query, texts, scorer=fuzz.WRatio, limit=None, score_cutoff=LIKENESS)
        # Parts of titles are often equally near; then the title that is nearer as a whole is meant.
        ranked = sorted(
            (-round(likeness), -round(fuzz.ratio(query, title)), candidates[row])
            for title, likeness, row in near
        )
        return [rank for *_, rank in ranked]


class _Trigrams:
    """Ranks of titles by the trigrams of their bytes, which are hashed into buckets.

    Args:
        data: all titles' bytes; a line break ends each.
        ends: where each title's bytes end.
    """

    def __init__(self, data: UInt8[np.ndarray, " bytes"], ends: Int[np.ndarray, " titles"]) -> None:
        self._sizes = np.zeros(len(ends), np.uint16)
        counts = np.zeros(BUCKETS, np.int64)
        pieces = []
        for first in range(0, len(ends), BUILT_AT_ONCE):
            last = min(first + BUILT_AT_ONCE, len(ends))
            starts = np.concatenate([ends[first - 1 : first] if first else [0], ends[first:last]])
            buckets, owners = _pairs(data[starts[0] : starts[-1]], np.diff(starts))
            self._sizes[first:last] = np.bincount(owners, minlength=last - first)
            counts += np.bincount(buckets, minlength=BUCKETS)
            pieces.append((buckets, owners + np.int32(first)))
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._ranks: Int32[np.ndarray, " entries"] = np.empty(self._starts[-1], np.int32)
        filled = self._starts[:-1].copy()
        for buckets, ranks in pieces:
            own = np.bincount(buckets, minlength=BUCKETS)
            offsets = np.arange(len(buckets)) - np.repeat(np.cumsum(own) - own, own)
            self._ranks[filled[buckets] + offsets] = ranks
            filled += own

    def lists(self, text: bytes) -> list[Int32[np.ndarray, " ranks"]]:
        """Ranks in order of each of the text's trigrams, the shortest list first."""
        found = np.unique(_buckets(np.frombuffer(text, np.uint8))).tolist()
        lists = [self._ranks[self._starts[b] : self._starts[b + 1]] for b in found]
        return sorted(lists, key=len)

    def sharing(self, text: bytes, n: int) -> list[int]:
        """Ranks of the titles that share most trigrams with a text, shorter ones before longer."""
        lists = self.lists(text)
        sizes = np.cumsum([len(one) for one in lists])
        read = lists[: max(1, int(np.searchsorted(sizes, READ, "right")))]
        if not read or not sizes[len(read) - 1]:
            return []
        entries = np.sort(np.concatenate(read))
        firsts = np.flatnonzero(np.concatenate([[True], entries[1:] != entries[:-1]]))
        ranks, shared = entries[firsts], np.diff(firsts, append=len(entries))
        likeness = shared + 2 * shared / (len(lists) + self._sizes[ranks])
        if len(ranks) > n:
            ranks = ranks[np.argpartition(-likeness, n - 1)[:n]]
        return np.sort(ranks).tolist()


def _pairs(
    data: UInt8[np.ndarray, " bytes"], lengths: Int[np.ndarray, " titles"]
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of a bucket and a title with such a trigram, each once, by bucket and title."""
    owners = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    buckets = _buckets(data)
    inside = (data[:-2] != 10) & (data[1:-1] != 10) & (data[2:] != 10)
    owners, buckets = owners[: len(buckets)][inside], buckets[inside]
    # Titles come in order, so a stable sort lays equal pairs side by side.
    order = np.argsort(buckets, kind="stable")
    owners, buckets = owners[order], buckets[order]
    fresh = np.ones(len(owners), bool)
    fresh[1:] = (owners[1:] != owners[:-1]) | (buckets[1:] != buckets[:-1])
    return buckets[fresh], owners[fresh]


def _buckets(data: UInt8[np.ndarray, " bytes"]) -> np.ndarray:
    """The bucket of the three bytes from each place on (uint16)."""
    if len(data) < 3:
        return np.empty(0, np.uint16)
    code = data[:-2].astype(np.uint32) << 16 | data[1:-1].astype(np.uint32) << 8 | data[2:]
    # Fibonacci hashing: the upper bits of the product with 2^32 over the golden ratio.
    return (code * np.uint32(2654435769) >> np.uint32(16)).astype(np.uint16)


def folded(text: str) -> str:
    """Return a text without case, accents and needless spaces."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(text.casefold().split())


def _plain(text: str) -> str:
    """Text without case, accents and punctuation, so that "wall e" finds "WALL·E"."""
    return " ".join(re.findall(r"\w+", folded(text)))


def _plain_all(texts: Sequence[str]) -> pl.Series:
    """The same of many texts; those of ASCII alone, nearly all as a rule, by Polars at once."""
    series = pl.Series("text", texts, dtype=pl.String)
    plain = series.str.to_lowercase().str.replace_all(r"[^a-z0-9_]+", " ").str.strip_chars(" ")
    others = np.flatnonzero((series.str.len_bytes() != series.str.len_chars()).to_numpy())
    if len(others):
        exact = [_plain(texts[row]) for row in others.tolist()]
        plain = plain.scatter(others.tolist(), exact)
    return plain
