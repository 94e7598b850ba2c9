"""Histories of users in a folder of Parquet files, read a stretch at a time.

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
    """One file of histories.

    Args:
        number: in the order of the files.
        path: of the file.
        n_users: its rows.
    """

    number: int
    path: Path
    n_users: int

    def read(self, items: Vocabulary) -> tuple[pl.Series, csr_array]:
        """Ids of its users, and their histories over these items; what these lack is left out.

        Raises:
            DataError: it is no whole Parquet file of users and lists of items.
        """
        try:
            frame = pl.read_parquet(
                self.path, columns=["user", "items"], glob=False, hive_partitioning=False
            )
            lengths = frame["items"].list.len().fill_null(0).cast(pl.Int64).to_numpy()
            # an empty list would come out as one missing item
            entries = frame["items"].filter(pl.Series(lengths > 0)).explode()
        except (PolarsError, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise DataError(
                f"{self.path} is no whole Parquet file of columns user and items, a list "
                f"({reason}); write it again"
            ) from None
        rows = np.repeat(np.arange(frame.height), lengths)
        return frame["user"], csr_of(rows, items.index(entries), (frame.height, len(items)))


@dataclass(frozen=True, eq=False)
class Histories:
    """A folder of histories, of which only the catalogue is in memory.

    Args:
        folder: where they are.
        items: the catalogue.
        item_counts: how many users interacted with each item.
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
        """A checksum of catalogue, counts, and names and sizes of the files, not of their bytes."""
        state = hashlib.sha256(self.items.fingerprint.encode())
        state.update(self.item_counts.astype("<i8").tobytes())
        sizes = [(p.path.name, p.n_users, p.path.stat().st_size) for p in self.parts]
        state.update(json.dumps(sizes).encode())
        return state.hexdigest()

    def stretch(self, worker: int, n_workers: int) -> csr_array:
        """The histories of one worker: a stretch of the users, a file in memory at a time."""
        first = worker * self.n_users // n_workers
        end = (worker + 1) * self.n_users // n_workers
        found = [csr_array((0, len(self.items)), dtype=np.float32)]
        before = 0
        for part in self.parts:
            low, high = max(first - before, 0), min(end - before, part.n_users)
            if low < high:
                found.append(part.read(self.items)[1][low:high])
            before += part.n_users
        return csr_array(vstack(found, format="csr"))


def write_histories(
    interactions: Interactions, folder: str | Path, *, part_users: int = PART_USERS
) -> Histories:
    """Write interactions as a folder of histories, atomically.

    Args:
        interactions: users x items; users are written in their order.
        folder: a new one, or one of histories, which is replaced.
        part_users: users a file.

    Raises:
        DataError: there is less than a user a file.
        ArtefactError: something else stands at `folder`.
    """
    import pyarrow as pa

    if part_users < 1:
        raise DataError(f"part_users is {part_users}; it must be at least 1")
    x, users = interactions.x, interactions.user_ids.ids
    with atomic_folder(Path(folder), overwrite_if=lambda p: (p / MANIFEST).exists()) as made:
        for number, start in enumerate(range(0, interactions.n_users, part_users)):
            rows = x[start : start + part_users]
            ids = interactions.item_ids.ids.gather(pl.Series(rows.indices))
            lists = pa.LargeListArray.from_arrays(rows.indptr.astype(np.int64), ids.to_arrow())
            frame = pl.DataFrame(
                {"user": users.slice(start, part_users), "items": pl.Series(pl.from_arrow(lists))}
            )
            frame.write_parquet(made / f"part-{number:05d}.parquet")
        _describe(made, interactions.item_ids, interactions.item_counts)
    return open_histories(folder)


def describe_histories(folder: str | Path) -> Histories:
    """Count items and users of Parquet files that something else wrote, and note them there.

    Files are `part-*.parquet` with columns `user` and `items` (a list of ids). They are read one
    at a time; the catalogue is all that stays in memory. Items are in the order of their ids.

    Raises:
        EmptyDataError: there are no such files, or no items in them.
        DataError: a file is not what it must be.

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
            found = lists.explode("id").drop_nulls().group_by("id").len(COUNT).collect()
        except PolarsError as error:
            raise DataError(f"{path}: {str(error).partition(chr(10))[0]}") from None
        counts = pl.concat([counts, found]).group_by("id").agg(pl.sum(COUNT))
    if not counts.height:
        raise EmptyDataError(f"{folder} has no part-*.parquet with lists of items in it")
    counts = counts.sort("id")
    _describe(folder, Vocabulary(counts["id"]), counts[COUNT].to_numpy())
    return open_histories(folder)


def open_histories(folder: str | Path) -> Histories:
    """The histories in a folder.

    Raises:
        ArtefactError: it was not described, is damaged, or was changed since.
    """
    folder = Path(folder).absolute()
    noted = read_json(folder / MANIFEST)
    try:
        frame = pl.read_parquet(folder / ITEMS, glob=False, hive_partitioning=False)
        counts = frame[COUNT].to_numpy()
        parts = tuple(
            HistoryPart(number, folder / name, n) for number, (name, n) in enumerate(noted["parts"])
        )
        if noted["format"] > FORMAT or any(not part.path.exists() for part in parts):
            raise KeyError("parts of this format")
    except (KeyError, ValueError, OSError, PolarsError) as error:
        raise ArtefactError(
            f"{folder} is no whole folder of histories ({error}); write it again, or describe it"
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
