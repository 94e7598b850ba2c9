"""The interface of a format that bundles are exported to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.bundle.bundle import Bundle, check_bundle
from nearfar.core import discovery, settings
from nearfar.core.errors import ArtefactError, SettingsError
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.ensemble import Ensemble
from nearfar.models.factors import Factors
from nearfar.models.model import Model

PACKAGE = "nearfar.bundle.exports"


class Export(ABC):
    """An export format and its settings; one file per format, found by its name."""

    @abstractmethod
    def write(self, bundle: Bundle, path: Path) -> None:
        """Write a bundle at `path` atomically; the same bundle gives the same bytes.

        Raises:
            ArtefactError: `path` holds something that this format did not write, or the model has
                numbers that are not finite.
            SettingsError: the format does not support the model's kind, or a part of the model.
            MissingExtraError: a package that the format needs is not installed.
        """


def export_bundle(bundle: Bundle, path: str | Path, format: str = "onnx", **values: Any) -> Export:
    """Write a bundle in a format that other programs read, as `nearfar export` does.

    Args:
        bundle: the bundle to write.
        path: a folder for onnx and embeddings; a file that ends in .npz for npz.
        format: "onnx", "npz", "embeddings", or a dotted path.
        **values: settings of the format: `input="dense"` and `k=20` for onnx, `users="FILE"` for
            embeddings.

    Returns:
        The format with its settings.

    Raises:
        UnknownNameError: the format or a setting does not exist.
        ArtefactError, SettingsError, MissingExtraError: see `Export.write`.
        DataError: `bundle` is not a bundle, but a model for example.

    Examples:
        >>> export = nf.export_bundle(bundle, "model.npz", "npz")
        >>> with np.load("model.npz") as archive:
        ...     "popularity" in archive
        True
    """
    cls = discovery.find(PACKAGE, Export, format)
    check_bundle(bundle)
    export = settings.build(cls, values)
    export.write(bundle, Path(path))
    return export


def check_finite(arrays: dict[str, np.ndarray]) -> None:
    """Refuse arrays that are not finite: no ranking can be made from them.

    Raises:
        ArtefactError: an array holds NaN or an infinity.
    """
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ArtefactError(f"{name} holds numbers that are not finite; train the model again")


def check_own(model: Model) -> None:
    """Refuse classes that a third party defined, including subclasses of nearfar's.

    Raises:
        SettingsError: the class of the model, or of a part of it, is not nearfar's.
    """
    if isinstance(model, Ensemble):
        for part in model.parts:
            check_own(part)
    parts: list[object] = [model]
    if isinstance(model, Autoencoder):
        parts.append(model.architecture.corruption)
    if isinstance(model, Factors):
        parts.append(model.folding)
    for part in parts:
        if "." in discovery.name_of(type(part)):
            raise SettingsError(
                f"{type(part).__qualname__} is not nearfar's own class; only nearfar's own "
                "classes can be exported to ONNX"
            )


def unknown(part: object) -> SettingsError:
    """Return the error for a part that has no translation to ONNX."""
    return SettingsError(f"{type(part).__name__} cannot be exported to ONNX; choose another format")
