"""Convert the genres of items to a sparse matrix."""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from nearfar.core.errors import DataError
from nearfar.core.vocabulary import Vocabulary

COLUMN = "genres"


def genre_matrix(items: Vocabulary) -> tuple[list[str], csr_array]:
    """Return the names of the genres, sorted, and a matrix with the ones of items x genres.

    Genres are lists in the items' details, or text separated by |.

    Raises:
        DataError: the items have no genres.
    """
    column = items.details[COLUMN] if COLUMN in items.details.columns else None
    if column is not None and column.dtype == pl.String:
        column = column.str.split("|")
    if column is None or not isinstance(column.dtype, pl.List):
        raise DataError(
            "the items have no genres: split a log whose items have them, or add them with "
            "--item-details (column genres, separated by |)"
        )
    pairs = (
        pl.DataFrame({"item": np.arange(len(items)), "genre": column.cast(pl.List(pl.String))})
        .explode("genre")
        .with_columns(pl.col("genre").str.strip_chars())
        .filter(pl.col("genre").is_not_null() & (pl.col("genre") != ""))
        .unique(maintain_order=True)
    )
    names = pairs["genre"].unique().sort()
    entries = (
        np.ones(pairs.height, np.float32),
        (pairs["item"].to_numpy(), Vocabulary(names).index(pairs["genre"])),
    )
    return names.to_list(), csr_array(entries, shape=(len(items), len(names)))
