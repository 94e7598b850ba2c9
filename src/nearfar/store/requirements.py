"""What databases and remote files need beyond nearfar's own dependencies."""

from __future__ import annotations

from importlib.util import find_spec

from nearfar.core.errors import MissingExtraError

PACKAGES = {"sqlalchemy": "SQLAlchemy"}


def check_installed(*modules: str, purpose: str, extra: str = "sql") -> None:
    """Raises MissingExtraError where one of the modules cannot be found; imports none."""
    for module in modules:
        if find_spec(module) is None:
            raise MissingExtraError(PACKAGES.get(module, module), extra, purpose)
