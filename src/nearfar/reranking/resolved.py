"""Rules, resolved to the item positions of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int

from nearfar.reranking.genres import Genres
from nearfar.reranking.reranker import ItemFacts
from nearfar.reranking.rules import ANY, Rule, Rules


@dataclass(frozen=True)
class Pin:
    """An item pinned to a place, counted from 1."""

    place: int
    item: int


@dataclass(frozen=True, eq=False)
class Quota:
    """The most and the least items of a genre in a list."""

    members: Bool[np.ndarray, " items"]
    at_most: int | None
    at_least: int


@dataclass(frozen=True, eq=False)
class ResolvedRules:
    """Rules over the items of a model.

    Args:
        boosts: added to each item's relevance; the last entry, 0, is for the position -1.
        excluded: positions of items that are never recommended.
        pins: pinned items, in the order of places.
        genre_pins: place -> which items have the genre of that place; the last entry is for -1.
        quotas: quotas of genres.
        unknown: messages about items and genres that the model does not have.
    """

    boosts: Float64[np.ndarray, " items+1"]
    excluded: Int[np.ndarray, " excluded"]
    pins: tuple[Pin, ...]
    genre_pins: Mapping[int, Bool[np.ndarray, " items+1"]]
    quotas: tuple[Quota, ...]
    unknown: tuple[str, ...]

    @classmethod
    def of(cls, rules: Rules, facts: ItemFacts) -> ResolvedRules:
        """Return the rules over a model's items.

        Raises:
            SettingsError: a rule names a genre, but the items have no genres.
        """
        boosts = np.zeros(len(facts.items) + 1)
        excluded = np.zeros(len(facts.items), bool)
        pins: list[Pin] = []
        genre_pins: dict[int, np.ndarray] = {}
        quotas: list[Quota] = []
        unknown: list[str] = []
        for rule in rules.rules:
            members = _members(rule, facts, unknown)
            if members is None:
                continue
            boosts[:-1][members] += rule.boost
            excluded |= members & rule.exclude
            if rule.pin is not None and rule.item is not None:
                pins.append(Pin(rule.pin, int(members.argmax())))
            elif rule.pin is not None:
                genre_pins[rule.pin] = np.append(members, False)
            quotas += _quotas(rule, members, facts)
        pins.sort(key=lambda pin: pin.place)
        return cls(
            boosts, np.flatnonzero(excluded), tuple(pins), genre_pins, tuple(quotas), tuple(unknown)
        )

    def quota_counts(self, items: Int[np.ndarray, "users n"]) -> QuotaCounts:
        """Return the quota counts of a pool, with no item selected yet."""
        return QuotaCounts(self.quotas, items)


class QuotaCounts:
    """Counts the selected items of each quota, per user.

    Args:
        quotas: quotas of genres.
        items: positions of the candidates; -1 for an empty cell.
    """

    def __init__(self, quotas: Iterable[Quota], items: Int[np.ndarray, "users n"]) -> None:
        self._quotas = [(quota, quota.members[items] & (items >= 0)) for quota in quotas]
        self._counts = np.zeros((len(self._quotas), len(items)), np.int64)

    def allowed(self, free: Bool[np.ndarray, "users n"], left: int) -> Bool[np.ndarray, "users n"]:
        """Return which candidates may take the next place.

        Args:
            free: which candidates are not selected yet.
            left: number of places still to fill, including the next.
        """
        missing = np.zeros(len(free), np.int64)
        helping = np.zeros_like(free)
        for (quota, members), counts in zip(self._quotas, self._counts, strict=True):
            if quota.at_most is not None:
                free = free & ~(members & (counts >= quota.at_most)[:, None])
            need = np.maximum(quota.at_least - counts, 0)
            missing += need
            helping |= members & (need > 0)[:, None]
        helping &= free
        must_help = (missing >= left) & helping.any(1)
        return np.where(must_help[:, None], helping, free)

    def add(self, columns: Int[np.ndarray, " users"], selected: Bool[np.ndarray, " users"]) -> None:
        """Count the selected column of each user; `selected` is False for a user without one."""
        users = np.arange(len(columns))
        for n, (_, members) in enumerate(self._quotas):
            self._counts[n] += members[users, columns] & selected


def _members(rule: Rule, facts: ItemFacts, unknown: list[str]) -> Bool[np.ndarray, " items"] | None:
    """Return which items a rule applies to; if none, add a message to `unknown` and return None."""
    members = np.zeros(len(facts.items), bool)
    if rule.item is not None:
        position = facts.items.index([rule.item])[0]
        if position < 0:
            unknown.append(f"{rule.where}: the model has no item {rule.item!r}")
            return None
        members[position] = True
        return members
    genres = facts.genres(f"{rule.where}: genre {rule.genre!r}")
    if rule.genre == ANY:
        return members
    members = genres.members(str(rule.genre))
    if not members.any():
        known = ", ".join(genres.names[:20]) + (", ..." if len(genres.names) > 20 else "")
        unknown.append(f"{rule.where}: no item has the genre {rule.genre!r}; there are {known}")
        return None
    return members


def _quotas(rule: Rule, members: Bool[np.ndarray, " items"], facts: ItemFacts) -> list[Quota]:
    if rule.at_most is None and rule.at_least is None:
        return []
    if rule.genre != ANY:
        return [Quota(members, rule.at_most, rule.at_least or 0)]
    genres: Genres = facts.genres("genre *")
    return [Quota(genres.members(name), rule.at_most, 0) for name in genres.names]
