"""What a training run did, step by step, to be done again another way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import torch
from torch import Tensor

from nearfar.kernels.rows import Rows
from nearfar.vae.network import VAE


@dataclass(frozen=True)
class Taken:
    """A step: whose histories, what was random, and the network's weights before it."""

    rows: Rows
    state: Tensor
    corrupt: bool
    noise: bool
    weights: dict[str, Tensor]

    @property
    def rng(self) -> torch.Generator:
        """A generator where the step's own stood."""
        rng = torch.Generator()
        rng.set_state(self.state)
        return rng

    @property
    def dense(self) -> Tensor:
        """The histories."""
        x = torch.zeros(self.rows.n_users, self.rows.n_items)
        x[self.rows.users, self.rows.indices] = 1
        return x


@contextmanager
def recording() -> Iterator[list[Taken]]:
    """All steps that any network takes meanwhile."""
    taken: list[Taken] = []
    original = VAE.training_step

    def record(self, rows, rng, *, corrupt=True, noise=True):
        weights = {k: v.clone() for k, v in self.state_dict().items()}
        taken.append(Taken(rows, rng.get_state(), corrupt, noise, weights))
        return original(self, rows, rng, corrupt=corrupt, noise=noise)

    with patch.object(VAE, "training_step", record):
        yield taken
