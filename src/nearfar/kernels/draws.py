"""Random numbers for a batch, which do not depend on how many processes share its users.

If rows are a part of a batch, the numbers of the whole batch are drawn and those of the part are
returned. The generators of all processes have the same seed, so that together the processes have
the numbers that a single process would draw.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.kernels.rows import Rows


def uniform_by_entry(rows: Rows, rng: torch.Generator) -> Float[Tensor, " nnz"]:
    """Return a random number in [0, 1) for every entry."""
    n, whole = rows.indices.shape[0], rows.whole
    if whole is None:
        return torch.rand(n, generator=rng, device=rng.device)
    numbers = torch.rand(whole.n_entries, generator=rng, device=rng.device)
    return numbers[whole.first_entry : whole.first_entry + n]


def normal_by_user(
    rows: Rows, n_columns: int, rng: torch.Generator
) -> Float[Tensor, "users columns"]:
    """Return `n_columns` standard normal numbers for every user."""
    n, whole = rows.n_users, rows.whole
    if whole is None:
        return torch.randn((n, n_columns), generator=rng, device=rng.device)
    numbers = torch.randn((whole.n_users, n_columns), generator=rng, device=rng.device)
    return numbers[whole.first_user : whole.first_user + n]
