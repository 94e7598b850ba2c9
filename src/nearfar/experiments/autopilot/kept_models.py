"""Models of trials, kept on disk so that a blend and the test users need no second fit."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import load_bundle, save_bundle
from nearfar.core.errors import ArtefactError
from nearfar.core.manifest import is_bundle
from nearfar.models.model import Model


class KeptModels:
    """A folder of bundles, one per trial; the folder is looked at once.

    Args:
        folder: where they are; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept = {int(place.name) for place in folder.glob("[0-9]*") if is_bundle(place)}

    def has(self, number: int) -> bool:
        """Return whether a trial's model was kept."""
        return number in self._kept

    def keep(self, number: int, bundle: Bundle) -> str | None:
        """Write a trial's model; returns why that was not possible, where it was not."""
        try:
            save_bundle(bundle, self._place(number))
        except (OSError, ArtefactError) as error:
            return str(error)
        self._kept.add(number)
        return None

    def load(self, number: int) -> Model | None:
        """Return a trial's model, on the CPU; None where it was not kept or is damaged."""
        if not self.has(number):
            return None
        try:
            return load_bundle(self._place(number), trust=True).model
        except (OSError, ArtefactError):
            self._kept.discard(number)
            return None

    def drop_all_but(self, numbers: Collection[int]) -> None:
        """Delete the models of all other trials."""
        kept = {self._place(number).name for number in numbers}
        for place in self.folder.glob("*"):
            if place.name not in kept:
                shutil.rmtree(place, ignore_errors=True)
        self._kept &= set(numbers)

    def _place(self, number: int) -> Path:
        return self.folder / f"{number:04}"
