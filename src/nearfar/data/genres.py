"""Genres of items as a sparse matrix."""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from nearfar.core.errors import DataError
from nearfar.core.vocabulary import Vocabulary


def genre_matrix(items: Vocabulary) -> tuple[list[str], csr_array]:
    """Return the genres by name, and which item is of which (items x genres, ones).

    Raises:
        DataError: the items have no genres.
    """
    column = items.details["genres"] if "genres" in items.details.columns else None
    if column is None or not isinstance(column.dtype, pl.List):
        raise DataError(
            "the items have no genres: split a log whose items have them, or give them by "
            "--item-details (column genres, cut at |)"
        )
    pairs = pl.DataFrame({"item": np.arange(len(items)), "genre": column}).explode("genre")
    pairs = pairs.drop_nulls().unique(maintain_order=True)
    names = pairs["genre"].unique().sort().to_list()
    columns = pairs["genre"].replace_strict(names, range(len(names)), return_dtype=pl.Int64)
    entries = (np.ones(pairs.height, np.float32), (pairs["item"].to_numpy(), columns.to_numpy()))
    return names, csr_array(entries, shape=(len(items), len(names)))
