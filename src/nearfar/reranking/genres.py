"""The genres of items, as shares that sum to 1 per item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array, diags_array

from nearfar.core.errors import DataError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.genres import genre_matrix


@dataclass(frozen=True, eq=False)
class Genres:
    """The genres of each item.

    Args:
        names: names of the genres, sorted.
        shares: items x genres; an item with n genres has 1/n of each, one without an empty row.
    """

    names: tuple[str, ...]
    shares: Float[csr_array, "items genres"]

    def members(self, name: str) -> Bool[np.ndarray, " items"]:
        """Return which items have a genre; no item has an unknown genre."""
        if name not in self.names:
            return np.zeros(self.shares.shape[0], bool)
        column = self.shares[:, [self.names.index(name)]].toarray()
        return column[:, 0] > 0

    def rows(self, items: Int[np.ndarray, "users n"]) -> Float[np.ndarray, "users n genres"]:
        """Return the shares of some items as a dense array; zeros for the position -1."""
        shares = self.shares[np.maximum(items, 0).ravel()].toarray()
        shares[items.ravel() < 0] = 0
        return shares.reshape(*items.shape, len(self.names))

    def similarities(
        self, rows: Int[np.ndarray, "users n"], columns: Int[np.ndarray, "users m"]
    ) -> Float[np.ndarray, "users n m"]:
        """Return the cosines of the items' genres; 0 for an item without genres."""
        left, right = (_unit(self.rows(items)) for items in (rows, columns))
        return left @ right.transpose(0, 2, 1)


def genres_of(items: Vocabulary) -> Genres | None:
    """Return the genres from the details of items; None if there are none."""
    try:
        names, members = genre_matrix(items)
    except DataError:
        return None
    if not names:
        return None
    counts = np.maximum(np.diff(members.indptr), 1)
    shares = csr_array(diags_array(1 / counts.astype(np.float32)) @ members)
    return Genres(tuple(names), shares)


def _unit(rows: Float[np.ndarray, "users n genres"]) -> Float[np.ndarray, "users n genres"]:
    return rows / np.maximum(np.linalg.norm(rows, axis=2, keepdims=True), 1e-12)
