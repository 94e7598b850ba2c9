"""Checks that optional dependencies are installed."""

from __future__ import annotations

from importlib.util import find_spec

from nearfar.core.errors import MissingExtraError

PACKAGES = {"sklearn": "scikit-learn", "umap": "umap-learn"}
"""Packages whose name is not that of their module."""


def check_installed(*modules: str, extra: str = "maps", purpose: str = "a latent map") -> None:
    """Check that modules can be found, without importing them.

    Args:
        modules: their import names.
        extra: the extra of nearfar that installs them.
        purpose: what needs them, for the message.

    Raises:
        MissingExtraError: a module cannot be found.
    """
    for module in modules:
        if find_spec(module) is None:
            raise MissingExtraError(PACKAGES.get(module, module), extra, purpose)
