"""Optional dependencies: refuse, by the name of the extra, what cannot work without them."""

from __future__ import annotations

from importlib.util import find_spec

from nearfar.core.errors import MissingExtraError

PACKAGES = {
    "mlflow": "MLflow",
    "ray": "Ray",
    "sklearn": "scikit-learn",
    "sqlalchemy": "SQLAlchemy",
    "tea_tasting": "tea-tasting",
    "torch": "PyTorch",
    "umap": "umap-learn",
    "wandb": "W&B",
}
"""Packages whose name differs from their module's."""


def require(*modules: str, extra: str, purpose: str) -> None:
    """Check that modules can be imported; imports none.

    Args:
        modules: what is needed, by the name that is imported.
        extra: the extra of nearfar that installs it.
        purpose: what needs it; the subject of the error's sentence.

    Raises:
        MissingExtraError: one of the modules is not installed.
    """
    for module in modules:
        try:
            missing = find_spec(module) is None
        except ModuleNotFoundError:  # an import hook refuses it
            missing = True
        if missing:
            raise MissingExtraError(PACKAGES.get(module, module), extra, purpose)


def require_torch() -> None:
    """Check that PyTorch is installed, as `require`."""
    require("torch", extra="torch", purpose="all that fits, or scores without an export,")
