"""Converts lists of item ids to histories over a bundle's items."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Protocol

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from nearfar.core.errors import DataError
from nearfar.core.identity import id_text
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import Log
from nearfar.data.interactions import canonical


class HasItems(Protocol):
    """A bundle or anything else with items, so that looking them up needs no PyTorch."""

    @property
    def items(self) -> Vocabulary: ...


def histories_from_items(
    bundle: HasItems, lists: Sequence[Sequence[int | str]]
) -> tuple[csr_array, np.ndarray]:
    """Return one history per list, and the number of unknown ids in each list (int64).

    Ids are compared by the rule of `core.identity`. A repeated id counts once in the history.
    """
    counts = np.fromiter((len(ids) for ids in lists), np.int64, len(lists))
    columns = positions(bundle.items, list(chain.from_iterable(lists)))
    rows = np.repeat(np.arange(len(lists)), counts)
    return csr_of(rows, columns, (len(lists), len(bundle.items))), unknown_by_row(
        rows, columns, len(lists)
    )


def histories_of_users(
    bundle: HasItems, log: Log, users: Sequence[str]
) -> tuple[pl.Series, csr_array, np.ndarray]:
    """Return the users' ids, their histories, and the number of unknown items per user.

    A user who is named twice is returned once.

    Raises:
        DataError: a user is not in the log.
    """
    names = list(dict.fromkeys(users))
    rows = log.user_ids.index(names)
    missing = [name for name, row in zip(names, rows, strict=True) if row < 0]
    if missing:
        near = log.user_ids.ids.gather(log.user_ids.alike(missing[0])).to_list()
        hint = f"; near it: {', '.join(map(str, near))}" if near else ""
        raise DataError(f"{log.name} has no user {', '.join(missing)}{hint}")
    interactions = log.interactions()
    lists = [log.item_ids.ids.gather(interactions.x[[row]].indices).to_list() for row in rows]
    x, unknown = histories_from_items(bundle, lists)
    return log.user_ids.ids.gather(rows.tolist()).rename("user"), x, unknown


def positions(items: Vocabulary, ids: Sequence[object]) -> np.ndarray:
    """Return the positions of ids (int64); -1 for an unknown id, or one of another type."""
    if not ids:
        return np.empty(0, np.int64)
    return items.index(pl.Series("id", [id_text(value) for value in ids], dtype=pl.String))


def csr_of(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> csr_array:
    """Return the binary matrix of these entries; entries with a column below 0 are dropped."""
    known = columns >= 0
    # Filter only if needed: these arrays can be as long as a log.
    if not known.all():
        rows, columns = rows[known], columns[known]
    return canonical(csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape))


def unknown_by_row(rows: np.ndarray, columns: np.ndarray, n_rows: int) -> np.ndarray:
    """Return how many entries of each row have a column below 0 (int64)."""
    return np.bincount(rows[columns < 0], minlength=n_rows)
