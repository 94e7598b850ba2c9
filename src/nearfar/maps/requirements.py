"""What drawing maps needs beyond nearfar's own dependencies."""

from __future__ import annotations

from importlib.util import find_spec

from nearfar.core.errors import MissingExtraError


def check_installed(*modules: str, extra: str = "maps", purpose: str = "a latent map") -> None:
    """Raises MissingExtraError where one of the modules cannot be found; imports none."""
    packages = {"sklearn": "scikit-learn", "umap": "umap-learn"}
    for module in modules:
        if find_spec(module) is None:
            raise MissingExtraError(packages.get(module, module), extra, purpose)
