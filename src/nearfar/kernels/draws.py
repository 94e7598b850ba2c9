"""Random numbers of a batch, the same however many processes share its users.

Where rows are a part of a batch, the numbers of the whole batch are drawn and the part's are
taken: all processes draw from generators of one seed, so that together they have what one
process would have drawn.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.kernels.rows import Rows


def uniform_by_entry(rows: Rows, rng: torch.Generator) -> Float[Tensor, " nnz"]:
    """A number in [0, 1) for every entry."""
    n, whole = rows.indices.shape[0], rows.whole
    if whole is None:
        return torch.rand(n, generator=rng, device=rng.device)
    drawn = torch.rand(whole.n_entries, generator=rng, device=rng.device)
    return drawn[whole.first_entry : whole.first_entry + n]


def normal_by_user(
    rows: Rows, n_columns: int, rng: torch.Generator
) -> Float[Tensor, "users columns"]:
    """Standard normal numbers for every user."""
    n, whole = rows.n_users, rows.whole
    if whole is None:
        return torch.randn((n, n_columns), generator=rng, device=rng.device)
    drawn = torch.randn((whole.n_users, n_columns), generator=rng, device=rng.device)
    return drawn[whole.first_user : whole.first_user + n]
