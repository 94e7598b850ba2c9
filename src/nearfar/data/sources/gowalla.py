"""Lines "user item item ...": Gowalla as LightGCN published it, or one file in this layout."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import polars as pl

from nearfar.core.errors import DataError
from nearfar.data.events import Log
from nearfar.data.sources._rows import required
from nearfar.data.sources.source import Download, Source, SourceRequest
from nearfar.tables.folder import files_of_tables
from nearfar.tables.item_lists import refuse_counts
from nearfar.tables.raw import RawFiles

_RAW = "https://raw.githubusercontent.com/kuandeng/LightGCN/master/Data/gowalla"
TRAIN, TEST = r"train\.txt", r"test\.txt"


class Gowalla(Source):
    """Check-ins of 29,858 users at 40,981 places, published split; no times, no ratings.

    Other data sets in the same layout (Yelp2018, Amazon-Book of LightGCN) are read as well. If the
    format is named, the published split may lack a part, and one file may have any name.
    """

    label = "Gowalla, LightGCN split"
    licence = "published for research by the authors of LightGCN (He et al. 2020)"
    # No checksum is published with these files.
    downloads = (
        Download(f"{_RAW}/train.txt", "train.txt", max_bytes=50 << 20),
        Download(f"{_RAW}/test.txt", "test.txt", max_bytes=50 << 20),
    )

    def matches(self, files: RawFiles) -> bool:
        names = [name for name in map(files.find, (TRAIN, TEST)) if name is not None]
        return len(names) == 2 and are_adjacency_lists([files.sample(name) for name in names])

    def read(self, files: RawFiles, request: SourceRequest) -> Log:
        """The training events, then the test events; or the events of the only file."""
        names = [name for name in map(files.find, (TRAIN, TEST)) if name is not None]
        if not names:
            names = files_of_tables(files)
        if len(names) != 1:
            return self._log(files, (TRAIN, TEST), request)
        request.report.format = "lines of a user and the user's items"
        return self._log(files, (re.escape(PurePosixPath(names[0]).name),), request)

    def parts(self, files: RawFiles, request: SourceRequest) -> tuple[Log, Log]:
        return self._log(files, (TRAIN,), request), self._log(files, (TEST,), request)

    def _log(self, files: RawFiles, patterns: tuple[str, ...], request: SourceRequest) -> Log:
        builder = request.builder(str(files.path))
        for pattern in patterns:
            name = required(files, pattern, "train.txt and test.txt")
            builder.name = files.where(name)
            first = 1
            refuse_counts([line.split() for line in _first_lines(files, name)], builder.name)
            for block in files.blocks(name, size=request.options.block_bytes):
                rows = _exploded(block, files.where(name), first)
                first += block.count(b"\n")
                builder.add(rows)
        return builder.log(request.items)


def _first_lines(files: RawFiles, name: str) -> list[str]:
    return files.sample(name).decode("utf-8", errors="replace").splitlines()


def are_adjacency_lists(samples: Sequence[bytes]) -> bool:
    """Whether the first lines of files are "user item item ...", a line per user.

    A table of triples or quadruples (user, item, weight, time) repeats its users, and all of its
    lines have as many cells.
    """
    lengths = set()
    for sample in samples:
        whole = sample[: sample.rfind(b"\n") + 1] or sample
        if any(mark in whole for mark in b",;|:"):
            return False
        lines = [line.split() for line in whole.split(b"\n") if line.strip()]
        if len({line[0] for line in lines}) < len(lines):
            return False
        lengths |= {len(line) for line in lines}
    return len(lengths) > 1 or not lengths & {3, 4}


def _exploded(block: bytes, where: str, first: int) -> pl.DataFrame:
    """The (user, item) pairs of lines "user item item ..."; a line without items has none."""
    try:
        lines = pl.Series("line", block.decode("utf-8").splitlines(), dtype=pl.String)
    except UnicodeDecodeError:
        raise DataError(f"{where} is not UTF-8 text; lines of numbers were expected") from None
    words = lines.str.strip_chars().str.replace_all(r"\s+", " ").str.split(" ")
    user = words.list.first()
    pairs = pl.DataFrame({"user": user, "item": words.list.slice(1)}).with_row_index("row", first)
    pairs = pairs.filter(pl.col("item").list.len() > 0).explode("item")
    for column in ("user", "item"):
        values = pairs[column].cast(pl.Int64, strict=False)
        if values.null_count():
            bad = pairs.filter(values.is_null()).row(0, named=True)
            raise DataError(
                f"{where}, row {bad['row']}: {column} is {bad[column]!r}; an integer was expected"
            )
        pairs = pairs.with_columns(values)
    return pairs.select("user", "item")
