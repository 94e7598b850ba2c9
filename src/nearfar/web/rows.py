"""Lists of positions as a sparse matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array


def csr_of_lists(lists: Sequence[np.ndarray], n_items: int) -> csr_array:
    """The binary matrix of rows that are sorted and without doubles."""
    indptr = np.zeros(len(lists) + 1, np.int64)
    np.cumsum([len(row) for row in lists], out=indptr[1:])
    indices = np.concatenate(lists) if lists else np.empty(0, np.int64)
    data = np.ones(len(indices), np.float32)
    return csr_array((data, indices, indptr), shape=(len(lists), n_items))
