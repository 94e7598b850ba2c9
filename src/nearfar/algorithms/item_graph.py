"""The graph of similar items, and the Laplacian that holds neighbours together."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array

from nearfar.models.top_k import rank

BLOCK_COLUMNS = 1024


def neighbour_graph(x: csr_array, n_neighbours: int) -> csr_array:
    """Each item's nearest items by the cosine of their columns; symmetric, with a zero diagonal.

    Two items are joined where either is among the other's nearest; of equals the lower position
    is nearer. The similarities of no more than a block of items are dense at a time.
    """
    n_items = x.shape[1]
    if n_items == 1:
        return csr_array((1, 1), dtype=np.float32)
    k = min(n_neighbours, n_items - 1)
    transposed, by_item = x.T.tocsr(), x.tocsc()
    lengths = np.sqrt(np.maximum(np.diff(by_item.indptr), 1)).astype(np.float32)
    nearest, cosines = [], []
    for start in range(0, n_items, BLOCK_COLUMNS):
        block = np.arange(start, min(start + BLOCK_COLUMNS, n_items))
        similar = (transposed @ by_item[:, block]).toarray().T / np.outer(lengths[block], lengths)
        similar[np.arange(len(block)), block] = -1
        items, values = rank(torch.from_numpy(similar), k)
        nearest.append(items.numpy().ravel())
        cosines.append(values.numpy().ravel())
    joined = np.repeat(np.arange(n_items), k), np.concatenate(nearest)
    graph = csr_array((np.concatenate(cosines), joined), shape=(n_items, n_items))
    graph = csr_array(graph.maximum(graph.T))
    graph.eliminate_zeros()
    return graph


def laplacian(graph: csr_array) -> csr_array:
    """L = diag(S 1) - S of a symmetric graph S: tr(V'LV) = 1/2 sum_ij S_ij |v_i - v_j|^2."""
    return csr_array(diags_array(graph.sum(1)) - graph)
