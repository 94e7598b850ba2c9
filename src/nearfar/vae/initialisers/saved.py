"""The initialiser by the weights of an earlier network."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.errors import ArtefactError
from nearfar.core.ranges import NonEmptyText
from nearfar.kernels.gradients import ParameterTable
from nearfar.vae.initialisers.initialiser import AddUp, Initialiser, alone
from nearfar.vae.initialisers.xavier import Xavier
from nearfar.vae.network import VAE

COLUMNS = "item_columns"
"""The array that tells, item by item, which of the earlier items it is; -1 for a new one."""


@dataclass(frozen=True)
class Saved(Initialiser):
    """Training goes on from the weights in a file; new items start as `before` leaves them.

    Args:
        path: a safetensors file of the earlier network's weights by name, with the array
            "item_columns"; `nearfar.bundle.other_catalogue` writes it.
        before: what the network is given first, and what new items keep.

    Examples:
        >>> nf.MultVAE(start=nf.initialisers.Saved("weights.safetensors")).start.path
        'weights.safetensors'
    """

    path: NonEmptyText
    before: Initialiser = field(default_factory=Xavier)

    @torch.no_grad()
    def apply(self, network: VAE, x: csr_array, seed: int, add_up: AddUp = alone) -> None:
        self.before.apply(network, x, seed, add_up)
        try:
            old = load_file(Path(self.path))
        except (OSError, SafetensorError) as error:
            raise ArtefactError(f"the weights to start from cannot be read: {error}") from None
        columns = old.pop(COLUMNS, None)
        if columns is None or len(columns) != network.n_items:
            raise ArtefactError(
                f"{self.path} is of {0 if columns is None else len(columns)} items; the network "
                f"has {network.n_items}: write it for this model's items"
            )
        own = network.state_dict()
        if set(old) != set(own):
            strange = ", ".join(sorted(set(old) ^ set(own))[:3])
            raise ArtefactError(f"{self.path} is of another architecture: {strange}")
        by_item = _item_weights(network)
        known = columns >= 0
        for name, weight in own.items():
            before = old[name]
            if name in by_item:
                if before.shape[1:] != weight.shape[1:] or len(before) <= int(columns.max()):
                    raise ArtefactError(_other(name, before, weight))
                weight[known] = before[columns[known]].to(weight)
            elif before.shape == weight.shape:
                weight.copy_(before)
            else:
                raise ArtefactError(_other(name, before, weight))


def _item_weights(network: VAE) -> set[str]:
    """Names of the weights whose rows are items."""
    tables = {
        name for name, weight in network.named_parameters() if isinstance(weight, ParameterTable)
    }
    return {*tables, "decoder.out.bias"}


def _other(name: str, before: Tensor, weight: Tensor) -> str:
    return (
        f"{name} has shape {tuple(before.shape)} in the earlier weights and {tuple(weight.shape)} "
        "now: the architecture changed; start afresh"
    )
