"""The base class of re-rankers, and the candidates that they choose from."""

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
"""What items are compared by: the model's item vectors, or genres."""

Similarities = Callable[
    [Int[np.ndarray, "users n"], Int[np.ndarray, "users m"]], Float[np.ndarray, "users n m"]
]
"""Positions of each user's items -> symmetric similarities from -1 to 1. A position of -1 is empty;
ignore its similarities."""


@dataclass(frozen=True, eq=False)
class ItemFacts:
    """The data on items that re-rankers use.

    Args:
        items: ids by position; their details may have a column "genres".
        similarities: similarities of the model's item vectors; None for a model without them.
    """

    items: Vocabulary
    similarities: Similarities | None = None

    @cached_property
    def known_genres(self) -> Genres | None:
        """The genres of the items; None if there are none."""
        return genres_of(self.items)

    def genres(self, purpose: str) -> Genres:
        """Return the genres of the items.

        Raises:
            SettingsError: the items have no genres.
        """
        genres = self.known_genres
        if genres is None:
            raise SettingsError(
                f"{purpose} needs genres, but the model's items have none; train with "
                "--item-details FILE, a table with the columns item and genres (in a pipeline: "
                "[items] genres)"
            )
        return genres

    def compared(self, by: By, purpose: str) -> Similarities:
        """Return the similarities of items, by their vectors or their genres.

        Raises:
            SettingsError: the model has no item vectors, or the items have no genres.
        """
        if by == "genres":
            return self.genres(f"{purpose} with by=genres").similarities
        if self.similarities is None:
            raise SettingsError(
                f"{purpose} needs similarities of items, but this kind of model has none; give "
                "by=genres if the items have genres"
            )
        return self.similarities


@dataclass(frozen=True, eq=False)
class Pool:
    """The candidates of a batch of users.

    Args:
        items: positions, best first; -1 fills the rows of users with fewer candidates.
        relevance: from 0 for a user's last candidate by score to 1 for the best, plus boosts.
        histories: users x items.
        facts: the data on items.
    """

    items: Int[np.ndarray, "users n"]
    relevance: Float[np.ndarray, "users n"]
    histories: csr_array
    facts: ItemFacts


class Selection(ABC):
    """The state of a greedy selection, item by item, for all users of a pool at once."""

    @abstractmethod
    def values(self) -> Float[np.ndarray, "users n"]:
        """Return the value of each candidate at the next place; the largest is selected."""

    @abstractmethod
    def add(self, columns: Int[np.ndarray, " users"]) -> None:
        """Update the state with the selected column of each user."""


class Reranker(Settings, ABC):
    """Chooses a list from candidates; subclasses are frozen dataclasses, one per file.

    Raises:
        SettingsError: a setting has the wrong type or is out of range.

    Examples:
        >>> isinstance(nf.reranking.MMR(), nf.reranking.Reranker)
        True
    """

    @abstractmethod
    def check_facts(self, facts: ItemFacts) -> None:
        """Check that the items have the data that the re-ranker needs.

        Raises:
            SettingsError: they do not.
        """

    @abstractmethod
    def select(self, pool: Pool) -> Selection:
        """Return a new selection, in which no item is selected yet."""


class ByRelevance(Selection):
    """Selects by score plus boosts.

    Args:
        pool: the candidates.
    """

    def __init__(self, pool: Pool) -> None:
        self._values = pool.relevance

    def values(self) -> Float[np.ndarray, "users n"]:
        return self._values

    def add(self, columns: Int[np.ndarray, " users"]) -> None:
        return
