"""A model in Ray's object store: once in the memory of each machine, for all workers there."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from nearfar.bundle.bundle import About, Bundle
from nearfar.core.vocabulary import Vocabulary
from nearfar.models.ensemble import Ensemble
from nearfar.models.model import Model
from nearfar.train.run import Device, Run


@dataclass(frozen=True, eq=False)
class SharedBundle:
    """A bundle taken apart.

    Ray copies arrays into the shared memory of a machine when the first worker there asks for
    them; all workers of the machine read that copy.

    Args:
        kind: the model's class.
        description: what it is built from.
        arrays: its weights.
        popularity: how many users interacted with each item.
        n_train_users: how many it was trained on.
        items: its items.
        about: what is known of it.
    """

    kind: type[Model]
    description: dict[str, Any]
    arrays: dict[str, np.ndarray]
    popularity: np.ndarray
    n_train_users: int
    items: Vocabulary
    about: About

    @classmethod
    def of(cls, bundle: Bundle) -> SharedBundle:
        """Take a bundle apart."""
        model = bundle.model
        description, arrays = model.state()
        return cls(
            type(model), description, arrays, model.popularity, model.n_train_users,
            bundle.items, bundle.about,
        )  # fmt: skip

    def bundle(self, device: Device = "cpu") -> Bundle:
        """Put it together, on a CPU around the shared arrays without copies that stay."""
        model = self.kind.restore(
            self.description, self.arrays, self.popularity, self.n_train_users
        )
        if device == "cpu":
            self._share(model)
        model.to(Run(device=device).torch_device)
        return Bundle(model, self.items, self.about)

    def _share(self, model: Model, prefix: str = "") -> None:
        """Put the shared arrays in the place of the networks' own copies."""
        if isinstance(model, Ensemble):
            for number, part in enumerate(model.parts):
                self._share(part, f"{prefix}{number}.")
        network = getattr(model, "network", None)
        if not isinstance(network, nn.Module):
            return
        prefix += "network."
        with warnings.catch_warnings():
            # shared memory is read-only, and scoring writes to no weight
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            weights = {
                name.removeprefix(prefix): torch.from_numpy(array)
                for name, array in self.arrays.items()
                if name.startswith(prefix)
            }
        network.load_state_dict(weights, assign=True)
        network.requires_grad_(False)
