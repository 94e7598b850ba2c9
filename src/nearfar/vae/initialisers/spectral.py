"""The initialiser by what closed forms know of the data: popularity and leading directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.ranges import NonNegativeFloat, NonNegativeInt, Share
from nearfar.core.seeding import derive
from nearfar.kernels.rows import Rows
from nearfar.kernels.sparse import weighted_sums
from nearfar.vae.initialisers.initialiser import AddUp, Initialiser, alone
from nearfar.vae.network import VAE

SMOOTHING = 1.0
"""Pseudo-count of every item, in users, so that none has log 0."""

OVERSAMPLING = 20

PART_ROWS = 8192
"""Rows whose float64 products are held at a time."""

LEAST_PIVOT = 1e-6
"""In shares of the greatest; below it columns are too nearly dependent for a Cholesky factor."""

SURE_PIVOT = 1e-3
"""Likewise; below it the basis is not orthonormal yet, and made so by a second factor."""


@dataclass(frozen=True)
class Spectral(Initialiser):
    """Training begins where a linear autoencoder and the popularity of items end.

    The decoder's last biases are the items' log popularity. The encoder's first units and the
    decoder's last read and write the leading right singular vectors of the histories as the
    encoder sees them; the layers between pass them on, where they can: gated and densely
    connected ones do not, and then popularity is all. All other weights stay as drawn. Noise
    starts low, so that it does not drown the signal.

    Differs: not in the paper. On MovieLens-1M the first epochs of ten are saved and the result
    is better too (docs/performance.md).

    Args:
        scale: length of the singular vectors in both tables; 0 for popularity alone.
        logvar: where the posterior's log variance starts.
        iterations: power iterations of the randomised decomposition.
        damping: power of an item's popularity that it is divided by before the decomposition and
            multiplied by after it, as in the filters of Shen et al. 2021 (GF-CF, which has .5).
            Where the catalogue is large and histories are short, directions are otherwise spent
            on a few popular items.

    Examples:
        >>> nf.MultVAE(start=nf.initialisers.Spectral(iterations=4)).start.iterations
        4
    """

    scale: NonNegativeFloat = 1.0
    logvar: float = -3.0
    iterations: NonNegativeInt = 2
    damping: Share = 0.0

    @torch.no_grad()
    def apply(self, network: VAE, x: csr_array, seed: int, add_up: AddUp = alone) -> None:
        counts = torch.from_numpy(np.bincount(x.indices, minlength=x.shape[1]))
        counts = add_up(counts).numpy() + SMOOTHING
        n_users = int(add_up(torch.tensor([x.shape[0]]))[0])
        popularity = torch.from_numpy(np.log(counts).astype(np.float32))
        network.decoder.out.bias.copy_(popularity - popularity.mean())
        network.encoder.set_log_variance(self.logvar)
        k = min(network.encoder.n_passed, network.decoder.n_passed, n_users, x.shape[1])
        if self.scale == 0 or k == 0:
            return
        rng = torch.Generator().manual_seed(derive(seed, "spectral"))
        rows = Rows.from_csr(x)
        damped = torch.from_numpy(((counts / counts.mean()) ** -self.damping).astype(np.float32))
        values = network.corruption.clean(rows).values * damped[rows.indices]
        directions = leading_directions(rows, values, k, self.iterations, rng, add_up)
        network.encoder.pass_on(self.scale * damped[:, None] * directions)
        network.decoder.pass_on(self.scale / damped[:, None] * directions)


def leading_directions(
    rows: Rows,
    values: Float[Tensor, " nnz"],
    k: int,
    iterations: int,
    rng: torch.Generator,
    add_up: AddUp = alone,
) -> Float[Tensor, "items k"]:
    """Compute about the k leading right singular vectors of sparse rows, the greatest first.

    A vector and its negative are equally good: the one is taken whose cubes sum up to a positive
    number, so that the result does not depend on how many processes share the rows.

    Source: Halko, Martinsson and Tropp 2011, randomised subspace iteration.
    """
    by_item = rows.by_item
    n_users = int(add_up(torch.tensor([rows.n_users]))[0])
    size = min(k + OVERSAMPLING, n_users, rows.n_items)
    basis = torch.randn(rows.n_items, size, generator=rng)

    def to_users(of_items: Tensor) -> Tensor:
        return weighted_sums(of_items, rows.indices, rows.indptr, values)

    def to_items(of_users: Tensor) -> Tensor:
        result = torch.zeros(rows.n_items, of_users.shape[1])
        result[by_item.items] = weighted_sums(
            of_users, by_item.users, by_item.indptr, values[by_item.order]
        )
        return add_up(result)

    for _ in range(iterations + 1):
        basis = orthonormal(to_items(to_users(basis)))
    # in the subspace the decomposition is small, and exact in float64
    turned = torch.linalg.eigh(add_up(_gram(to_users(basis)))).eigenvectors.flip(1)[:, :k]
    directions = basis @ turned.to(basis.dtype)
    return directions * torch.where(directions.pow(3).sum(0) < 0, -1.0, 1.0)


def orthonormal(a: Float[Tensor, "rows k"]) -> Float[Tensor, "rows k"]:
    """An orthonormal basis of the columns, by the Cholesky factor of their float64 products.

    That takes a quarter of the time of Householder's reflections, which are used where columns are
    too nearly dependent for it.
    """
    factor, failed = torch.linalg.cholesky_ex(_gram(a))
    pivots = factor.diagonal()
    if failed or pivots.min() < LEAST_PIVOT * pivots.max():
        return torch.linalg.qr(a).Q
    identity = torch.eye(len(factor), dtype=factor.dtype)
    inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
    basis = a @ inverse.T.to(a.dtype)
    return basis if pivots.min() >= SURE_PIVOT * pivots.max() else orthonormal(basis)


def _gram(a: Float[Tensor, "rows k"]) -> Float64[Tensor, "k k"]:
    """A'A in float64."""
    result = torch.zeros(a.shape[1], a.shape[1], dtype=torch.float64)
    for part in a.split(PART_ROWS):
        double = part.double()
        result.addmm_(double.T, double)
    return result
