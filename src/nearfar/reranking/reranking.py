"""Re-ranking: build a user's list from the best candidates by score."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

from nearfar.core import discovery, settings
from nearfar.core.assignments import parse_assignments
from nearfar.core.ranges import PositiveInt
from nearfar.core.ranking import Ranking
from nearfar.reranking.reranker import ByRelevance, ItemFacts, Pool, Reranker
from nearfar.reranking.resolved import ResolvedRules
from nearfar.reranking.rules import Rules, read_rules

PACKAGE = __name__.rpartition(".")[0]
MAX_POOL = 500
"""Most candidates per user, unless the list itself is longer."""

BLOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class Reranking:
    """A re-ranker, rules, or both, that choose lists from candidates.

    Args:
        reranker: the re-ranker, or its name with settings, such as "mmr diversity=0.3"; by default
            items are in the order of scores.
        rules: boosts, pins, exclusions and quotas, or the path of a rule file.
        candidates: candidates per place of the list: lists are chosen from the best
            candidates x k items by score, at most 500 or k.

    Raises:
        SettingsError: a setting or the rule file is wrong.

    Examples:
        >>> reranking = nf.reranking.Reranking("mmr diversity=0.5", candidates=5)
        >>> nf.recommend(bundle, [[0, 3]], k=2, rerank=reranking).k
        2
    """

    reranker: Reranker | str | None = None
    rules: Rules | str | Path | None = None
    candidates: PositiveInt = 10

    def __post_init__(self) -> None:
        if isinstance(self.reranker, str):
            object.__setattr__(self, "reranker", parse_reranker(self.reranker))
        if isinstance(self.rules, str | Path):
            object.__setattr__(self, "rules", read_rules(self.rules))
        settings.check_value(Reranking, "candidates", self.candidates, "candidates")

    @classmethod
    def of(cls, value: Rerank) -> Reranking | None:
        """Return the re-ranking for a value such as "mmr diversity=0.3"; None for None.

        Raises:
            SettingsError: there is no such re-ranker, or a setting is wrong.
        """
        if value is None or isinstance(value, Reranking):
            return value
        if isinstance(value, Rules):
            return cls(rules=value)
        return cls(value)

    @classmethod
    def if_any(
        cls, reranker: Reranker | str | None, rules: Rules | str | Path | None, candidates: int
    ) -> Reranking | None:
        """Return the re-ranking of these options; None without a re-ranker and rules.

        Raises:
            SettingsError: a setting or the rule file is wrong.
        """
        if reranker is None and rules is None:
            return None
        return cls(reranker, rules, candidates)

    def over(self, facts: ItemFacts) -> ListBuilder:
        """Return the builder of lists of these items.

        Raises:
            SettingsError: the items lack needed data, such as genres.
        """
        return ListBuilder(self, facts)


def parse_reranker(text: str) -> Reranker:
    """Parse a re-ranker from its name and settings, such as "mmr diversity=0.3 by=genres".

    Raises:
        SettingsError: there is no such re-ranker, or a setting is unknown or wrong.
    """
    name, *assignments = text.split() or [""]
    cls = discovery.find(PACKAGE, Reranker, name)
    return settings.build(cls, parse_assignments(assignments), cls.__name__.lower())


class ListBuilder:
    """Builds lists of one model's items.

    Args:
        reranking: the re-ranker and rules.
        facts: the data on the items.

    Raises:
        SettingsError: the items lack needed data, such as genres.
    """

    def __init__(self, reranking: Reranking, facts: ItemFacts) -> None:
        reranker, rules = reranking.reranker, reranking.rules
        assert not isinstance(reranker, str)
        if reranker is not None:
            reranker.check_facts(facts)
        self._reranker = reranker
        self._per_place = reranking.candidates
        self._facts = facts
        self.rules = ResolvedRules.of(rules if isinstance(rules, Rules) else Rules(()), facts)

    def by(self, reranker: Reranker) -> ListBuilder:
        """Return a builder with another re-ranker and the same rules.

        Raises:
            SettingsError: the items lack data that the re-ranker needs.
        """
        reranker.check_facts(self._facts)
        other = copy(self)
        other._reranker = reranker
        return other

    def n_candidates(self, k: int) -> int:
        """Return the number of candidates per user for a list of k items."""
        n_items = len(self._facts.items)
        return min(max(k, min(self._per_place * k, MAX_POOL)), n_items)

    def build(
        self,
        candidates: Ranking,
        histories: csr_array,
        k: int,
        *,
        excluded: csr_array | None = None,
        banned: Int[np.ndarray, " banned"] | None = None,
    ) -> Ranking:
        """Choose k items for every user.

        Args:
            candidates: each user's best `n_candidates(k)` items.
            histories: users x items.
            k: length of the lists.
            excluded: users x items that must not be recommended to the user, even if pinned.
            banned: items that must not be recommended to anyone.

        Returns:
            The items in the order of selection, with the model's scores, which may rise from place
            to place. A pinned item that is not a candidate has the score of the last candidate, an
            upper bound of its own. Ties go to the higher score, then to the lower position. Rows
            end in -1 if quotas or candidates leave fewer than k items.
        """
        items = np.full((candidates.n_users, k), -1, np.int64)
        scores = np.full((candidates.n_users, k), -np.inf, np.float32)
        allowed = np.ones(len(self._facts.items), bool)
        allowed[self.rules.excluded] = False
        if banned is not None:
            allowed[banned] = False
        for rows in self._blocks(candidates):
            block = Ranking(candidates.items[rows], candidates.scores[rows])
            block_excluded = None if excluded is None else excluded[rows]
            items[rows], scores[rows] = self._select(
                block, histories[rows], k, allowed, block_excluded
            )
        return Ranking(items, scores)

    def _blocks(self, candidates: Ranking) -> Iterator[slice]:
        genres = self._facts.known_genres
        width = candidates.k + len(self.rules.pins)
        per_user = 8 * width * (3 * width + (0 if genres is None else 2 * len(genres.names)))
        size = max(1, BLOCK_BYTES // max(per_user, 1))
        for start in range(0, candidates.n_users, size):
            yield slice(start, start + size)

    def _select(
        self,
        candidates: Ranking,
        histories: csr_array,
        k: int,
        allowed: Bool[np.ndarray, " items"],
        excluded: csr_array | None,
    ) -> tuple[Int[np.ndarray, "users k"], Float[np.ndarray, "users k"]]:
        rules = self.rules
        pinned = [pin for pin in rules.pins if pin.place <= k]
        pins = np.array([pin.item for pin in pinned], np.int64)
        pin_allowed = np.tile(allowed[pins], (candidates.n_users, 1))
        if excluded is not None and len(pins):
            pin_allowed &= ~(excluded[:, pins].toarray() > 0)
        items, scores, free, columns = _with_pins(candidates, pins, pin_allowed)
        free &= allowed[np.maximum(items, 0)]
        pool = Pool(items, _relevance(scores) + rules.boosts[items], histories, self._facts)
        selection = ByRelevance(pool) if self._reranker is None else self._reranker.select(pool)
        quotas = rules.quota_counts(items)
        selected = np.full((len(items), k), -1, np.int64)
        users = np.arange(len(items))
        pin_columns = {pin.place: columns[:, n] for n, pin in enumerate(pinned)}
        for column in pin_columns.values():  # quotas count pins from the start
            quotas.add(np.maximum(column, 0), column >= 0)
        for place in range(1, k + 1):
            available = quotas.allowed(free, k - place + 1)
            if place in rules.genre_pins:
                members = available & rules.genre_pins[place][items]
                has_members = np.any(members, axis=1, keepdims=True)
                available = np.where(has_members, members, available)
            values = np.where(available, selection.values(), -np.inf)
            choice = np.where(available.any(1), values.argmax(1), -1)
            newly_counted = choice >= 0
            if place in pin_columns:
                newly_counted &= pin_columns[place] < 0
                choice = np.where(pin_columns[place] >= 0, pin_columns[place], choice)
            selected[:, place - 1] = choice
            is_chosen = choice >= 0
            free[users[is_chosen], choice[is_chosen]] = False
            column = np.maximum(choice, 0)
            quotas.add(column, newly_counted)
            selection.add(column)
        selected = np.take_along_axis(selected, np.argsort(selected < 0, axis=1, kind="stable"), 1)
        columns_or_0 = np.maximum(selected, 0)
        listed = np.where(selected >= 0, np.take_along_axis(items, columns_or_0, 1), -1)
        return listed, np.where(selected >= 0, np.take_along_axis(scores, columns_or_0, 1), -np.inf)


def _relevance(scores: Float[np.ndarray, "users n"]) -> Float[np.ndarray, "users n"]:
    """Scale each user's scores from 0 for the last candidate to 1 for the best."""
    valid = scores > -np.inf
    low = np.where(valid, scores, np.inf).min(1, keepdims=True)
    high = scores.max(1, keepdims=True)
    span = np.where(high > low, high - low, 1)
    return np.where(valid, (scores - np.where(valid, low, 0)) / span, 0).astype(np.float64)


def _with_pins(
    candidates: Ranking, pins: Int[np.ndarray, " pins"], pin_allowed: Bool[np.ndarray, "users pins"]
) -> tuple[np.ndarray, np.ndarray, Bool[np.ndarray, "users n"], Int[np.ndarray, "users pins"]]:
    """Add a column per pin to items and scores; return also the free cells and each pin's column.

    A pinned item is not free, since its place is fixed.
    """
    items, scores, n = candidates.items, candidates.scores, candidates.k
    last_score = np.where(scores > -np.inf, scores, np.inf).min(1, initial=np.inf)
    last_score = np.where(np.isfinite(last_score), last_score, 0)
    free = items >= 0
    columns = np.full(pin_allowed.shape, -1, np.int64)
    for place, item in enumerate(pins):
        is_item = (items == item) & free & pin_allowed[:, place, None]
        column = np.where(is_item.any(1), is_item.argmax(1), n + place)
        columns[:, place] = np.where(pin_allowed[:, place], column, -1)
        free = free & ~is_item
    added_items = np.where(columns >= n, pins, -1)
    added_scores = np.where(columns >= n, last_score[:, None], -np.inf).astype(np.float32)
    return (
        np.concatenate([items, added_items], 1),
        np.concatenate([scores, added_scores], 1),
        np.concatenate([free, np.zeros(added_items.shape, bool)], 1),
        columns,
    )


Rerank = Reranking | Reranker | Rules | str | None
"""The values that `Reranking.of` accepts."""
