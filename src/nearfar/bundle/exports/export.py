"""The interface of a format that bundles are exported to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from nearfar.bundle.bundle import Bundle
from nearfar.core.errors import ArtefactError

PACKAGE = "nearfar.bundle.exports"


class Export(ABC):
    """The settings of a format; one file here each, found by its name."""

    @abstractmethod
    def write(self, bundle: Bundle, path: Path) -> None:
        """Write a bundle at `path` atomically; the same bundle gives the same bytes.

        Raises:
            ArtefactError: what stands at `path` is not this format's to replace, or the model
                has numbers that are not finite.
            SettingsError: the model, or a part of it, is of a kind that the format cannot hold.
            MissingExtraError: what the format needs is not installed.
        """


def check_finite(arrays: dict[str, np.ndarray]) -> None:
    """Refuse what no ranking can be made of.

    Raises:
        ArtefactError: an array holds NaN or an infinity.
    """
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ArtefactError(f"{name} holds numbers that are not finite; train the model again")
