"""How long tests wait for an event; only a failing test waits so long."""

from __future__ import annotations

PATIENCE = 900
"""Seconds. On two cores with 25 busy processes a page of charts took more than 120."""
