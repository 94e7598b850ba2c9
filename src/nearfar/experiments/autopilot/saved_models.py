"""Models of trials, saved on disk so that the blend and the test need no second fit."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import load_bundle, save_bundle
from nearfar.core.errors import ArtefactError
from nearfar.core.manifest import is_bundle
from nearfar.models.model import Model


class SavedModels:
    """A folder of bundles, one per trial; its content is read once, at the start.

    Args:
        folder: path of the folder; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = {int(path.name) for path in folder.glob("[0-9]*") if is_bundle(path)}

    def has(self, number: int) -> bool:
        """Return whether a trial's model is saved."""
        return number in self._numbers

    def save(self, number: int, bundle: Bundle) -> str | None:
        """Save a trial's model; return None, or the error if that failed."""
        try:
            save_bundle(bundle, self._path(number))
        except (OSError, ArtefactError) as error:
            return str(error)
        self._numbers.add(number)
        return None

    def load(self, number: int) -> Model | None:
        """Return a trial's model, on the CPU; None if it is not saved or is damaged."""
        if not self.has(number):
            return None
        try:
            return load_bundle(self._path(number), trust=True).model
        except (OSError, ArtefactError):
            self._numbers.discard(number)
            return None

    def delete_others(self, numbers: Collection[int]) -> None:
        """Delete the models of all other trials."""
        names = {self._path(number).name for number in numbers}
        for path in self.folder.glob("*"):
            if path.name not in names:
                shutil.rmtree(path, ignore_errors=True)
        self._numbers &= set(numbers)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:04}"
