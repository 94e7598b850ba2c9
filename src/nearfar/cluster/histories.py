"""Histories of users in a folder of Parquet files, of which each worker reads a range.

FOLDER/histories.json       format, users of each part, fingerprint
FOLDER/items.parquet        the catalogue: id, details, how many users interacted with it (n_users)
FOLDER/part-00000.parquet   user, items (a list): a row per user
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int
from polars.exceptions import PolarsError
from scipy.sparse import csr_array, vstack

from nearfar.bundle.histories import csr_of
from nearfar.core.errors import ArtefactError, DataError, EmptyDataError
from nearfar.core.files import atomic_folder, read_json, write_json
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import Interactions

FORMAT = 1
MANIFEST = "histories.json"
ITEMS = "items.parquet"
PART_USERS = 100_000
COUNT = "n_users"


@dataclass(frozen=True)
class HistoryPart:
    """A file of histories.

    Args:
        number: number of the file, from 0.
        path: path of the file.
        n_users: number of its users, one per row.
    """

    number: int
    path: Path
    n_users: int

    def read(self, items: Vocabulary) -> tuple[pl.Series, csr_array]:
        """Read the ids of the users, and their histories over `items`; other items are left out.

        Raises:
            DataError: the file is not a complete Parquet file of users and lists of items.
        """
        try:
            frame = pl.read_parquet(
                self.path, columns=["user", "items"], glob=False, hive_partitioning=False
            )
            lengths = frame["items"].list.len().fill_null(0).cast(pl.Int64).to_numpy()
            # `explode` would turn an empty list into one missing item.
            entries = frame["items"].filter(pl.Series(lengths > 0)).explode()
        except (PolarsError, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise DataError(
                f"{self.path} is not a complete Parquet file with the columns user and items, a "
                f"list ({reason}); write it again"
            ) from None
        rows = np.repeat(np.arange(frame.height), lengths)
        return frame["user"], csr_of(rows, items.index(entries), (frame.height, len(items)))


@dataclass(frozen=True, eq=False)
class Histories:
    """A folder of histories; only the catalogue is in memory.

    Args:
        folder: path of the folder.
        items: the catalogue.
        item_counts: number of users who interacted with each item.
        parts: the files.
    """

    folder: Path
    items: Vocabulary
    item_counts: Int[np.ndarray, " items"]
    parts: tuple[HistoryPart, ...]

    @property
    def n_users(self) -> int:
        return sum(part.n_users for part in self.parts)

    @cached_property
    def fingerprint(self) -> str:
        """A checksum of catalogue, counts, and the files' names and sizes, not their content."""
        state = hashlib.sha256(self.items.fingerprint.encode())
        state.update(self.item_counts.astype("<i8").tobytes())
        sizes = [(p.path.name, p.n_users, p.path.stat().st_size) for p in self.parts]
        state.update(json.dumps(sizes).encode())
        return state.hexdigest()

    def read_range(self, worker: int, n_workers: int) -> csr_array:
        """Read the histories of a worker, a contiguous range of the users, file by file."""
        first = worker * self.n_users // n_workers
        end = (worker + 1) * self.n_users // n_workers
        blocks = [csr_array((0, len(self.items)), dtype=np.float32)]
        before = 0
        for part in self.parts:
            low, high = max(first - before, 0), min(end - before, part.n_users)
            if low < high:
                blocks.append(part.read(self.items)[1][low:high])
            before += part.n_users
        return csr_array(vstack(blocks, format="csr"))


def write_histories(
    interactions: Interactions, folder: str | Path, *, part_users: int = PART_USERS
) -> Histories:
    """Write interactions as a folder of histories, atomically.

    Args:
        interactions: users x items; the order of the users is kept.
        folder: a new folder, or a folder of histories, which is replaced.
        part_users: users per file.

    Raises:
        DataError: `part_users` is below 1.
        ArtefactError: `folder` exists and is not a folder of histories.
    """
    import pyarrow as pa

    if part_users < 1:
        raise DataError(f"part_users is {part_users}; it must be at least 1")
    x, users = interactions.x, interactions.user_ids.ids
    with atomic_folder(Path(folder), overwrite_if=lambda p: (p / MANIFEST).exists()) as new_folder:
        for number, start in enumerate(range(0, interactions.n_users, part_users)):
            rows = x[start : start + part_users]
            ids = interactions.item_ids.ids.gather(pl.Series(rows.indices))
            lists = pa.LargeListArray.from_arrays(rows.indptr.astype(np.int64), ids.to_arrow())
            frame = pl.DataFrame(
                {"user": users.slice(start, part_users), "items": pl.Series(pl.from_arrow(lists))}
            )
            frame.write_parquet(new_folder / f"part-{number:05d}.parquet")
        _describe(new_folder, interactions.item_ids, interactions.item_counts)
    return open_histories(folder)


def describe_histories(folder: str | Path) -> Histories:
    """Count the users and items of Parquet files that another program wrote, and save the counts.

    The files are `part-*.parquet` with the columns `user` and `items` (a list of ids). They are
    read one at a time; only the catalogue stays in memory. Items are in the order of their ids.

    Raises:
        EmptyDataError: there are no such files, or no items in them.
        DataError: a file cannot be read or has other columns.

    Examples:
        >>> from nearfar.cluster.histories import describe_histories
        >>> Path("histories").mkdir()
        >>> frame = pl.DataFrame({"user": [1, 2], "items": [[7, 8], [8]]})
        >>> frame.write_parquet("histories/part-0.parquet")
        >>> describe_histories("histories").n_users
        2
    """
    folder = Path(folder)
    counts = pl.DataFrame()
    for path in sorted(folder.glob("part-*.parquet")):
        try:
            lists = pl.scan_parquet(path, glob=False, hive_partitioning=False).select(
                id=pl.col("items").list.unique()
            )
            part_counts = lists.explode("id").drop_nulls().group_by("id").len(COUNT).collect()
        except PolarsError as error:
            raise DataError(f"{path}: {str(error).partition(chr(10))[0]}") from None
        counts = pl.concat([counts, part_counts]).group_by("id").agg(pl.sum(COUNT))
    if not counts.height:
        raise EmptyDataError(f"{folder} has no part-*.parquet with lists of items in it")
    counts = counts.sort("id")
    _describe(folder, Vocabulary(counts["id"]), counts[COUNT].to_numpy())
    return open_histories(folder)


def open_histories(folder: str | Path) -> Histories:
    """Open a folder of histories.

    Raises:
        ArtefactError: the folder has no description, is damaged, or has changed since.
    """
    folder = Path(folder).absolute()
    manifest = read_json(folder / MANIFEST)
    try:
        frame = pl.read_parquet(folder / ITEMS, glob=False, hive_partitioning=False)
        counts = frame[COUNT].to_numpy()
        parts = tuple(
            HistoryPart(number, folder / name, n)
            for number, (name, n) in enumerate(manifest["parts"])
        )
        if manifest["format"] > FORMAT or any(not part.path.exists() for part in parts):
            raise KeyError("parts of this format")
    except (KeyError, ValueError, OSError, PolarsError) as error:
        raise ArtefactError(
            f"{folder} is not a complete folder of histories ({error}); write it again, or describe"
            " it with describe_histories"
        ) from None
    return Histories(folder, Vocabulary.from_frame(frame.drop(COUNT)), counts, parts)


def _describe(folder: Path, items: Vocabulary, counts: np.ndarray) -> None:
    items.frame().with_columns(pl.Series(COUNT, counts.astype(np.int64))).write_parquet(
        folder / ITEMS
    )
    parts = [[path.name, _n_rows(path)] for path in sorted(folder.glob("part-*.parquet"))]
    write_json(folder / MANIFEST, {"format": FORMAT, "parts": parts})


def _n_rows(path: Path) -> int:
    rows = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    return int(rows.select(pl.len()).collect().item())
