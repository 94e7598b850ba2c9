"""Small random histories, and small networks of every kind of encoder."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.kernels.rows import Rows
from nearfar.kernels.sparse import WeightedRows
from nearfar.vae.corruption.corruption import Clean, Corruption
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.deeper import Deeper
from nearfar.vae.encoders.dense import Dense
from nearfar.vae.encoders.encoder import Encoder
from nearfar.vae.encoders.hierarchical import Hierarchical
from nearfar.vae.encoders.iaf import IAF
from nearfar.vae.network import VAE

N_USERS, N_ITEMS, N_LATENT = 6, 9, 4

PLAIN: dict[str, Encoder] = {
    "base": Base((7,)),
    "base, gated": Base((7, 5), "gated"),
    "deeper": Deeper((7, 6, 5)),
    "dense": Dense(7, 3),
    "iaf": IAF(Base((7,)), 2, 10),
    "dense, iaf": IAF(Dense(7, 2), 3, 10),
}
"""Encoders of one level."""

ENCODERS: dict[str, Encoder] = {
    **PLAIN,
    "hierarchical": Hierarchical(7),
    "hierarchical, tanh": Hierarchical(7, "tanh"),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def histories(seed: int = 0, n_users: int = N_USERS) -> tuple[Tensor, Rows]:
    """Dense and sparse; everybody has something."""
    rng = np.random.default_rng(seed)
    dense = (rng.random((n_users, N_ITEMS)) < 0.4).astype(np.float32)
    dense[np.arange(n_users), rng.integers(N_ITEMS, size=n_users)] = 1
    return torch.from_numpy(dense), Rows.from_csr(csr_array(dense))


def repeated(dense: Tensor, times: int) -> Rows:
    """Every user so many times in a row: one step then draws as many samples of each."""
    users = np.repeat(np.arange(len(dense)), times)
    return Rows.from_csr(csr_array(dense.numpy()), users)


def dense_of(history: WeightedRows) -> Tensor:
    return history.product(torch.eye(history.rows.n_items))


def network(encoder: Encoder, corruption: Corruption | None = None, seed: int = 0) -> VAE:
    """With biases and gates away from zero, so that none of them can be forgotten."""
    rng = generator(seed)
    built = VAE(
        n_items=N_ITEMS,
        n_latent=N_LATENT,
        encoder=encoder,
        decoder_hidden=(8,),
        corruption=corruption or Clean(),
        rng=rng,
    )
    with torch.no_grad():
        for parameter in built.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=rng)
    return built
