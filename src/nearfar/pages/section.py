"""A section of a page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A part of a page under a heading of its own.

    Args:
        anchor: its id on the page: letters, digits and "-".
        title: the heading, plain text.
        body: markup.
    """

    anchor: str
    title: str
    body: str
