"""What the room needs beyond nearfar's own dependencies."""

from __future__ import annotations

from importlib.util import find_spec

from nearfar.core.errors import MissingExtraError


def check_statistics() -> None:
    """Raises MissingExtraError where tea-tasting cannot be found; imports nothing."""
    if find_spec("tea_tasting") is None:
        raise MissingExtraError("tea-tasting", "abtest", "an A/B test")


def check_database() -> None:
    """Raises MissingExtraError where SQLAlchemy cannot be found; imports nothing."""
    if find_spec("sqlalchemy") is None:
        raise MissingExtraError("SQLAlchemy", "sql", "reading logs from a database")
