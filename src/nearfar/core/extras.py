"""Optional dependencies: check that they are installed, and name the extra that installs them."""

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
"""Module -> package, if the names differ."""


def require(*modules: str, extra: str, purpose: str) -> None:
    """Check that modules are installed, without importing them.

    Args:
        modules: names of the modules, as imported.
        extra: the extra of nearfar that installs them.
        purpose: what needs them; the subject of the message's sentence.

    Raises:
        MissingExtraError: a module is not installed.
    """
    for module in modules:
        try:
            missing = find_spec(module) is None
        except ModuleNotFoundError:  # raised by an import hook
            missing = True
        if missing:
            raise MissingExtraError(PACKAGES.get(module, module), extra, purpose)


def require_torch() -> None:
    """Check that PyTorch is installed; raise as `require`."""
    require("torch", extra="torch", purpose="all that fits, or scores without an export,")
