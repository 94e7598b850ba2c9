"""Weights of a bundle, put in the order of another catalogue, for training to go on from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save

from nearfar.bundle.bundle import Bundle
from nearfar.core.errors import SettingsError
from nearfar.core.files import atomic_file
from nearfar.core.vocabulary import Vocabulary
from nearfar.models.autoencoder import Architecture, Autoencoder
from nearfar.vae.starts.saved import COLUMNS


def write_warm(bundle: Bundle, items: Vocabulary, path: Path) -> int:
    """Write what the start `saved` reads; returns how many of `items` the bundle knows.

    Args:
        bundle: of an autoencoder.
        items: the catalogue to be trained on.
        path: the file, replaced if it is there.

    Raises:
        SettingsError: the model is no autoencoder, or knows none of the items.
    """
    model = bundle.model
    if not isinstance(model, Autoencoder):
        raise SettingsError(f"{bundle.about.algorithm} has no weights for training to go on from")
    columns = np.asarray(bundle.items.index(items.ids), np.int64)
    n_known = int((columns >= 0).sum())
    if not n_known:
        raise SettingsError("the earlier model knows none of the items; start afresh")
    arrays = {name: value.cpu().numpy() for name, value in model.network.state_dict().items()}
    arrays[COLUMNS] = columns
    with atomic_file(path) as file:
        file.write(save({k: np.ascontiguousarray(v) for k, v in arrays.items()}))
    return n_known


def fits(bundle: Bundle, architecture: Architecture) -> bool:
    """Whether a bundle's weights can be taken over by this architecture, items apart."""
    model = bundle.model
    if not isinstance(model, Autoencoder):
        return False
    own, other = vars(model.architecture), vars(architecture)
    return {k: v for k, v in own.items() if k != "n_items"} == {
        k: v for k, v in other.items() if k != "n_items"
    }
