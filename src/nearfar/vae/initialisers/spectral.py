"""The initialiser from popularity and the leading singular vectors of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

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
"""Pseudo-count of every item, in users, which avoids log 0."""

OVERSAMPLING = 20
"""Random directions beyond the k that are computed."""

PART_ROWS = 8192
"""Rows that are converted to float64 at once."""

LEAST_PIVOT = 1e-6
"""Smallest pivot, relative to the largest, for which the Cholesky factor is used at all."""

SURE_PIVOT = 1e-3
"""Smallest pivot, relative to the largest, for which one Cholesky factor gives an orthonormal
basis; below it a second one is computed from the result."""


@dataclass(frozen=True)
class Spectral(Initialiser):
    """Starts like a linear autoencoder with the popularity of items as biases.

    The output layer's biases are the items' log popularity, or 0. The first units of the encoder's
    first layer and the inputs of the output layer are set to the leading right singular vectors of
    the uncorrupted encoder inputs. The layers between pass them on, unless they are gated or
    densely connected; then only the biases are set. All other weights stay random. The noise starts
    low, so that it does not hide the signal.

    Differs: not in the paper. On MovieLens-1M it saves the first epochs of ten and also gives a
    better result (docs/performance.md).

    Args:
        scale: length of the singular vectors in both tables; 0 sets only the biases.
        logvar: log variance of the posterior at the start.
        iterations: power iterations of the randomised decomposition.
        damping: an item's values are divided by this power of its popularity before the
            decomposition and multiplied by it after, as in the filters of Shen et al. 2021 (GF-CF,
            which has .5). With a large catalogue and short histories, the directions otherwise
            describe only a few popular items.
        biases: initial biases of the output layer: "popularity" for a likelihood whose scores are
            logarithms of probabilities, "zero" for the Gaussian one.

    Examples:
        >>> nf.MultVAE(initialiser=nf.initialisers.Spectral(iterations=4)).initialiser.iterations
        4
    """

    ADDED: ClassVar[Mapping[str, Any]] = {"biases": "popularity"}

    scale: NonNegativeFloat = 1.0
    logvar: float = -3.0
    iterations: NonNegativeInt = 2
    damping: Share = 0.0
    biases: Literal["popularity", "zero"] = "popularity"

    @torch.no_grad()
    def apply(self, network: VAE, x: csr_array, seed: int, add_up: AddUp = alone) -> None:
        counts = torch.from_numpy(np.bincount(x.indices, minlength=x.shape[1]))
        counts = add_up(counts).numpy() + SMOOTHING
        n_users = int(add_up(torch.tensor([x.shape[0]]))[0])
        network.decoder.out.bias.zero_()
        if self.biases == "popularity":
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
    """Compute approximately the k leading right singular vectors of sparse rows, largest first.

    The sign of each vector is that for which its cubes have a positive sum, so that the result
    does not depend on how many processes share the rows.

    Args:
        rows: the sparse rows.
        values: the values of their entries.
        k: number of vectors.
        iterations: power iterations.
        rng: generator of the random start.
        add_up: sums over the processes that share the rows.

    Source: Halko, Martinsson and Tropp 2011, randomised subspace iteration.
    """
    by_item = rows.by_item
    n_users = int(add_up(torch.tensor([rows.n_users]))[0])
    size = min(k + OVERSAMPLING, n_users, rows.n_items)
    basis = torch.randn(rows.n_items, size, generator=rng)

    def to_users(item_values: Tensor) -> Tensor:
        return weighted_sums(item_values, rows.indices, rows.indptr, values)

    def to_items(user_values: Tensor) -> Tensor:
        result = torch.zeros(rows.n_items, user_values.shape[1])
        result[by_item.items] = weighted_sums(
            user_values, by_item.users, by_item.indptr, values[by_item.order]
        )
        return add_up(result)

    for _ in range(iterations + 1):
        basis = orthonormal(to_items(to_users(basis)))
    # In the subspace the decomposition is small enough to be computed in float64.
    rotation = torch.linalg.eigh(add_up(_gram(to_users(basis)))).eigenvectors.flip(1)[:, :k]
    directions = basis @ rotation.to(basis.dtype)
    return directions * torch.where(directions.pow(3).sum(0) < 0, -1.0, 1.0)


def orthonormal(a: Float[Tensor, "rows k"]) -> Float[Tensor, "rows k"]:
    """Return an orthonormal basis of the columns, by the Cholesky factor of their Gram matrix.

    This takes a quarter of the time of Householder's reflections, which are used if the columns
    are nearly dependent.
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
    """Return A'A in float64."""
    result = torch.zeros(a.shape[1], a.shape[1], dtype=torch.float64)
    for part in a.split(PART_ROWS):
        double = part.double()
        result.addmm_(double.T, double)
    return result
