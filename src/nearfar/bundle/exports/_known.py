"""What can be exported: the parts that nearfar itself defines."""

from __future__ import annotations

from nearfar.core import discovery
from nearfar.core.errors import SettingsError
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.ensemble import Ensemble
from nearfar.models.factors import Factors
from nearfar.models.model import Model


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
