"""The interface of a re-ranker, and the candidates that it chooses from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from nearfar.core.errors import SettingsError
from nearfar.core.settings import Settings
from nearfar.core.vocabulary import Vocabulary
from nearfar.reranking.genres import Genres, genres_of

By = Literal["model", "genres"]
"""What items are compared by: what the model holds of them, or their genres."""

Similarities = Callable[
    [Int[np.ndarray, "users n"], Int[np.ndarray, "users m"]], Float[np.ndarray, "users n m"]
]
"""Positions of items of each user -> similarities, from -1 to 1, symmetric. A position of -1 is
none; its similarities mean nothing."""


@dataclass(frozen=True, eq=False)
class ItemFacts:
    """What re-rankers may know of the items.

    Args:
        items: ids by position; the column "genres" of their details is used where there is one.
        similarities: of the model's item vectors; None for a model that has none.
    """

    items: Vocabulary
    similarities: Similarities | None = None

    @cached_property
    def known_genres(self) -> Genres | None:
        """The items' genres, where there are any."""
        return genres_of(self.items)

    def genres(self, purpose: str) -> Genres:
        """Return the items' genres.

        Raises:
            SettingsError: the items have none.
        """
        genres = self.known_genres
        if genres is None:
            raise SettingsError(
                f"{purpose} needs genres, and the model's items have none; train with "
                "--item-details FILE, a table with the columns item and genres (in a pipeline: "
                "[items] genres)"
            )
        return genres

    def compared(self, by: By, purpose: str) -> Similarities:
        """Return the similarities of items by their vectors or genres.

        Raises:
            SettingsError: the model has no item vectors, or the items have no genres.
        """
        if by == "genres":
            return self.genres(f"{purpose} with by=genres").similarities
        if self.similarities is None:
            raise SettingsError(
                f"{purpose} needs similarities of items, and this kind of model has none; give "
                "by=genres where the items have genres"
            )
        return self.similarities


@dataclass(frozen=True, eq=False)
class Pool:
    """The candidates of a batch of users.

    Args:
        items: positions, best first; -1 where a user has fewer.
        relevance: 0 for a user's last candidate by score to 1 for the best, plus boosts.
        histories: users x items.
        facts: of the items.
    """

    items: Int[np.ndarray, "users n"]
    relevance: Float[np.ndarray, "users n"]
    histories: csr_array
    facts: ItemFacts


class Selection(ABC):
    """The state of a choice, item by item, for all users of a pool at once."""

    @abstractmethod
    def values(self) -> Float[np.ndarray, "users n"]:
        """What each candidate would be worth at the next place; the largest is chosen."""

    @abstractmethod
    def add(self, chosen: Int[np.ndarray, " users"]) -> None:
        """Take note of the column that was chosen for each user."""


class Reranker(Settings, ABC):
    """How a list is chosen from candidates; subclasses are frozen dataclasses, one per file.

    Raises:
        SettingsError: a setting has the wrong type or is out of range.

    Examples:
        >>> isinstance(nf.reranking.MMR(), nf.reranking.Reranker)
        True
    """

    @abstractmethod
    def check_facts(self, facts: ItemFacts) -> None:
        """Check that the items have what is needed.

        Raises:
            SettingsError: they do not.
        """

    @abstractmethod
    def select(self, pool: Pool) -> Selection:
        """Return the state in which nothing is chosen yet."""


class ByRelevance(Selection):
    """The order of the scores, boosts included.

    Args:
        pool: the candidates.
    """

    def __init__(self, pool: Pool) -> None:
        self._values = pool.relevance

    def values(self) -> Float[np.ndarray, "users n"]:
        return self._values

    def add(self, chosen: Int[np.ndarray, " users"]) -> None:
        return
