"""Errors of the jobs."""

from __future__ import annotations

from nearfar.core.errors import NearfarError


class LockedError(NearfarError):
    """Another job is running on the registry."""


class RefusedError(NearfarError):
    """A candidate did not pass the gates."""
