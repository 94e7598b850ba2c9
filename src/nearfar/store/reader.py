"""The interface of a reader: a service reads the recommendations of a few users repeatedly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from nearfar.core.errors import DataError


class UnreachableError(DataError):
    """Raised when the store cannot be reached now; the same read may succeed later."""


class StoredRecommendation(NamedTuple):
    """A stored recommendation of a user."""

    rank: int
    item: int | str
    score: float
    model_version: str
    scored_at: datetime


class Reader(ABC):
    """Reads a sink repeatedly and keeps its connection or file open between reads.

    A reader is used by one thread at a time. After an error the next read opens the store anew.
    """

    @abstractmethod
    def latest(self) -> date | None:
        """Return the latest published day, or None if no day is published.

        Raises:
            UnreachableError: the store cannot be reached.
            DataError: the store was reached and the read failed.
        """

    @abstractmethod
    def read(self, day: date, users: Sequence[str]) -> dict[str, list[StoredRecommendation]] | None:
        """Return the recommendations of some users on a day, by user.

        Args:
            day: the day.
            users: ids as text, each once. An id that the store cannot hold has no rows.

        Returns:
            The rows of each user who has any, by rank; None if the day is not published.

        Raises:
            UnreachableError: the store cannot be reached.
            DataError: the store was reached and the read failed.
        """

    def close(self) -> None:  # noqa: B027 - most readers hold nothing
        """Close the connection or file."""
