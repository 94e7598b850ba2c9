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


def export_bundle(bundle: Bundle, path: str | Path, format: str = "onnx", **values: Any) -> Export:
    """Write a bundle for others to read, as `nearfar export` does.

    Args:
        bundle: to be written.
        path: a folder for onnx and embeddings; a file that ends in .npz for npz.
        format: "onnx", "npz", "embeddings", or a dotted path.
        **values: settings of the format: `input="dense"` and `k=20` of onnx, `users="FILE"` of
            embeddings.

    Returns:
        The format with its settings.

    Raises:
        UnknownNameError: no format or setting is called so.
        ArtefactError, SettingsError, MissingExtraError: see `Export.write`.
        DataError: it is a model and no bundle.

    Examples:
        >>> written = nf.export_bundle(bundle, "model.npz", "npz")
        >>> with np.load("model.npz") as archive:
        ...     "popularity" in archive
        True
    """
    cls = discovery.find(PACKAGE, Export, format)
    check_bundle(bundle)
    chosen = settings.build(cls, values)
    chosen.write(bundle, Path(path))
    return chosen


def check_finite(arrays: dict[str, np.ndarray]) -> None:
    """Refuse what no ranking can be made of.

    Raises:
        ArtefactError: an array holds NaN or an infinity.
    """
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ArtefactError(f"{name} holds numbers that are not finite; train the model again")


def check_own(model: Model) -> None:
    """Refuse what a third party defined, also by changing a class of nearfar's.

    Raises:
        SettingsError: the model or a part of it is from elsewhere.
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
                f"{type(part).__qualname__} is not nearfar's own, and cannot be exported to ONNX"
            )


def unknown(part: object) -> SettingsError:
    """The error on a part that no graph is known of."""
    return SettingsError(f"no ONNX graph is known of {type(part).__name__}")
