"""GRALS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array

from nearfar.algorithms.algorithm import Algorithm, check_not_empty
from nearfar.algorithms.als import Sides, alternate
from nearfar.algorithms.graph_ridge import ItemSystem, Laplacian
from nearfar.algorithms.requirements import Requirements, factor_bytes
from nearfar.algorithms.wmf import weighted_factors
from nearfar.core.ranges import NonNegativeFloat, PositiveFloat, PositiveInt, PositiveShare
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.models.factors import Factors
from nearfar.models.least_squares import Confidence, weighted_least_squares
from nearfar.models.top_k import rank
from nearfar.train.run import Run


@dataclass(frozen=True)
class GRALS(Algorithm):
    """Graph-regularised alternating least squares: WMF with similar items pulled together.

    WMF's objective plus g tr(V'LV), L the Laplacian of the graph of each item's nearest items by
    cosine. The half step of the items is one system for all of them, solved by conjugate gradient
    with products in O(nnz k), or O(items k) where all entries weigh the same. The half step of the
    users and the folding in are those of WMF. With g = 0 it is WMF.

    Source: Rao, Yu, Ravikumar and Dhillon, Collaborative Filtering with Graph Information, 2015,
    Eq. 3 and Section 3.

    Differs: there the sum is over observed entries only, and users have a graph too. Here all
    entries count, because feedback is implicit, and the graph comes from the training histories.
    The system is rotated and preconditioned by its diagonal.

    Args:
        n_factors: number of factors k.
        graph_weight: weight g of the graph.
        n_neighbours: nearest items that each item is joined to, at least.
        unobserved_weight: weight of unobserved entries, as in WMF; 1 weighs all entries the same.
        l2: weight of the ridge penalty, as in WMF.
        l2_exponent: exponent of the penalty by frequency, as in WMF.
        iterations: how often to solve for the users and then for the items.
        init_scale: standard deviation of the initial factors, times the square root of k.
        cg_iterations: maximum steps of conjugate gradient per iteration.
        cg_tolerance: conjugate gradient stops at a residual of this length, as a share of the
            right side's length.

    Examples:
        >>> model = nf.GRALS(n_factors=4, n_neighbours=3).fit(split.train)
        >>> round(nf.evaluate(model, split.test, ["Recall@5"]).mean("Recall@5"), 2)
        0.9
    """

    WEIGHTED: ClassVar[bool] = True

    n_factors: PositiveInt = 256
    graph_weight: NonNegativeFloat = 1.0
    n_neighbours: PositiveInt = 20
    unobserved_weight: PositiveShare = 1.0
    l2: PositiveFloat = 12.0
    l2_exponent: NonNegativeFloat = 0.0
    iterations: PositiveInt = 15
    init_scale: PositiveFloat = 0.1
    cg_iterations: PositiveInt = 20
    cg_tolerance: NonNegativeFloat = 1e-3

    @property
    def confidence(self) -> Confidence:
        """The weights of entries and the penalty."""
        return Confidence(self.unobserved_weight, self.l2, self.l2_exponent)

    def requirements(self, train: Interactions) -> Requirements:
        return Requirements(factor_bytes(self.n_factors, train))

    @torch.no_grad()
    def fit(
        self, train: Interactions, validation: FoldIn | None = None, *, run: Run | None = None
    ) -> Factors:
        """Fit in float32; memory holds a few times (users + items) k numbers.

        Raises:
            DivergedError: a user's system is singular in float32, because l2 is too small.
        """
        check_not_empty(train)
        run = run or Run()
        sides = Sides.of(train, run.torch_device, weighted=True)
        confidence = self.confidence
        graph = Laplacian.of(
            laplacian(neighbour_graph(sides.x, self.n_neighbours)),
            self.graph_weight,
            run.torch_device,
        )

        def to_items(users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
            system = ItemSystem.of(sides.by_item, users, confidence, graph)
            return system.solve(items, self.cg_iterations, self.cg_tolerance)

        items = alternate(
            sides.initial_factors(self.n_factors, self.init_scale, run),
            self.iterations,
            lambda items: weighted_least_squares(sides.by_user, items, confidence),
            to_items,
            run,
        )
        return weighted_factors(sides.in_data_order(items), confidence, train)


BLOCK_COLUMNS = 1024


def neighbour_graph(x: csr_array, n_neighbours: int) -> csr_array:
    """Return the symmetric graph of each item's nearest items, with cosines as its weights.

    Two items are joined if either is among the other's nearest. Of equal cosines the lower
    position counts as nearer. Similarities are dense for one block of items at a time.
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
    positions = np.repeat(np.arange(n_items), k), np.concatenate(nearest)
    graph = csr_array((np.concatenate(cosines), positions), shape=(n_items, n_items))
    graph = csr_array(graph.maximum(graph.T))
    graph.eliminate_zeros()
    return graph


def laplacian(graph: csr_array) -> csr_array:
    """Return L = diag(S 1) - S of a symmetric graph S: tr(V'LV) = 1/2 sum_ij S_ij |v_i - v_j|^2."""
    return csr_array(diags_array(graph.sum(1)) - graph)
