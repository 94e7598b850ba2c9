"""The initialiser that copies the weights of an earlier network."""

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
"""Name of the array that maps each item to its position in the earlier network; -1 if new."""


@dataclass(frozen=True)
class Saved(Initialiser):
    """Starts from the weights in a file; new items start with the weights that `before` sets.

    Args:
        path: a safetensors file of the earlier network's weights by name, with the array
            "item_columns"; `nearfar.bundle.other_catalogue` writes it.
        before: the initialiser that is applied first.

    Examples:
        >>> nf.MultVAE(initialiser=nf.initialisers.Saved("weights.safetensors")).initialiser.path
        'weights.safetensors'
    """

    path: NonEmptyText
    before: Initialiser = field(default_factory=Xavier)

    @torch.no_grad()
    def apply(self, network: VAE, x: csr_array, seed: int, add_up: AddUp = alone) -> None:
        self.before.apply(network, x, seed, add_up)
        try:
            saved = load_file(Path(self.path))
        except (OSError, SafetensorError) as error:
            raise ArtefactError(f"the weights to start from cannot be read: {error}") from None
        columns = saved.pop(COLUMNS, None)
        if columns is None or len(columns) != network.n_items:
            raise ArtefactError(
                f"{self.path} is of {0 if columns is None else len(columns)} items and the network "
                f"has {network.n_items}; write the file for this model's items"
            )
        weights = network.state_dict()
        if set(saved) != set(weights):
            names = ", ".join(sorted(set(saved) ^ set(weights))[:3])
            raise ArtefactError(
                f"{self.path} is of another architecture; only one of the two has {names}"
            )
        by_item = _item_weights(network)
        known = columns >= 0
        for name, weight in weights.items():
            earlier = saved[name]
            if name in by_item:
                if earlier.shape[1:] != weight.shape[1:] or len(earlier) <= int(columns.max()):
                    raise ArtefactError(_shape_message(name, earlier, weight))
                weight[known] = earlier[columns[known]].to(weight)
            elif earlier.shape == weight.shape:
                weight.copy_(earlier)
            else:
                raise ArtefactError(_shape_message(name, earlier, weight))


def _item_weights(network: VAE) -> set[str]:
    """Return the names of the weights that have a row per item."""
    tables = {
        name for name, weight in network.named_parameters() if isinstance(weight, ParameterTable)
    }
    return {*tables, "decoder.out.bias"}


def _shape_message(name: str, earlier: Tensor, weight: Tensor) -> str:
    return (
        f"{name} has shape {tuple(earlier.shape)} in the earlier weights and {tuple(weight.shape)} "
        "now: the architecture changed; train without the earlier weights"
    )
