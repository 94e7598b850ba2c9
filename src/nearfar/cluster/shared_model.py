"""A model in Ray's object store: one copy in memory per machine, for all its workers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from nearfar.bundle.bundle import Bundle, BundleMetadata
from nearfar.core.vocabulary import Vocabulary
from nearfar.models.ensemble import Ensemble
from nearfar.models.model import Model
from nearfar.train.run import Device, Run


@dataclass(frozen=True, eq=False)
class SharedBundle:
    """The components of a bundle, which Ray can share.

    Ray copies the arrays to a machine's shared memory when its first worker requests them; all
    workers of the machine read that copy.

    Args:
        kind: class of the model.
        description: description from which the model is built.
        arrays: weights of the model.
        popularity: number of users who interacted with each item.
        n_train_users: number of training users.
        items: the catalogue.
        metadata: description of the bundle.
    """

    kind: type[Model]
    description: dict[str, Any]
    arrays: dict[str, np.ndarray]
    popularity: np.ndarray
    n_train_users: int
    items: Vocabulary
    metadata: BundleMetadata

    @classmethod
    def of(cls, bundle: Bundle) -> SharedBundle:
        """Return the components of a bundle."""
        model = bundle.model
        description, arrays = model.state()
        return cls(
            type(model), description, arrays, model.popularity, model.n_train_users,
            bundle.items, bundle.metadata,
        )  # fmt: skip

    def bundle(self, device: Device = "cpu") -> Bundle:
        """Build the bundle; on a CPU its networks use the shared arrays instead of copies."""
        model = self.kind.restore(
            self.description, self.arrays, self.popularity, self.n_train_users
        )
        if device == "cpu":
            self._share(model)
        model.to(Run(device=device).torch_device)
        return Bundle(model, self.items, self.metadata)

    def _share(self, model: Model, prefix: str = "") -> None:
        """Replace the networks' own copies by the shared arrays."""
        if isinstance(model, Ensemble):
            for number, part in enumerate(model.parts):
                self._share(part, f"{prefix}{number}.")
        network = getattr(model, "network", None)
        if not isinstance(network, nn.Module):
            return
        prefix += "network."
        with warnings.catch_warnings():
            # Shared memory is read-only; scoring does not write to weights.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            weights = {
                name.removeprefix(prefix): torch.from_numpy(array)
                for name, array in self.arrays.items()
                if name.startswith(prefix)
            }
        network.load_state_dict(weights, assign=True)
        network.requires_grad_(False)
