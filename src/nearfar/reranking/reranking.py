"""Re-ranking: from the best candidates to the list that a user is given."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

from nearfar.core import discovery, settings
from nearfar.core.ranges import PositiveInt
from nearfar.core.ranking import Ranking
from nearfar.reranking.reranker import ByRelevance, ItemFacts, Pool, Reranker
from nearfar.reranking.resolved import ResolvedRules
from nearfar.reranking.rules import Rules, read_rules

PACKAGE = __name__.rpartition(".")[0]
MAX_POOL = 500
"""More candidates than these are looked at only where the list itself is longer."""

BLOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class Reranking:
    """How lists are chosen from candidates: a re-ranker, rules, or both.

    Args:
        reranker: chooses item by item; its name with settings will do, as "mmr diversity=0.3". By
            default items come by score.
        rules: boosts, pins, exclusions and quotas, or the path of their file.
        candidates: how many candidates for each place of the list: the best candidates x k items
            by score are looked at, at most 500 or k.

    Raises:
        SettingsError: a setting is wrong, or the rule file is.

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
        """Return the re-ranking that a caller names, as "mmr diversity=0.3"; None for none.

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
        """Return the re-ranking of these options; None where neither of the first two is given.

        Raises:
            SettingsError: a setting or the rule file is wrong.
        """
        if reranker is None and rules is None:
            return None
        return cls(reranker, rules, candidates)

    def over(self, facts: ItemFacts) -> ListBuilder:
        """Return what builds lists of these items.

        Raises:
            SettingsError: the items lack what is needed, as genres.
        """
        return ListBuilder(self, facts)


def parse_reranker(text: str) -> Reranker:
    """Return the re-ranker of a name with settings, as "mmr diversity=0.3 by=genres".

    Raises:
        SettingsError: there is no such re-ranker, or a setting is unknown or wrong.
    """
    name, *assignments = text.split() or [""]
    found = discovery.find(PACKAGE, Reranker, name)
    return settings.build(found, settings.parse_assignments(assignments), found.__name__.lower())


class ListBuilder:
    """Builds lists of one model's items.

    Args:
        reranking: how.
        facts: of the items.

    Raises:
        SettingsError: the items lack what is needed, as genres.
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
        """Return what builds lists by another re-ranker, with the same rules.

        Raises:
            SettingsError: the items lack what it needs.
        """
        reranker.check_facts(self._facts)
        other = copy(self)
        other._reranker = reranker
        return other

    def n_candidates(self, k: int) -> int:
        """How many of a user's best items a list of k is chosen from."""
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
            k: places.
            excluded: users x items that a user is not to be given, also where they are pinned.
            banned: items that nobody is to be given.

        Returns:
            The items in the order chosen, with the model's own scores, which do not fall from
            place to place. A pinned item that is no candidate has the score of the last
            candidate: its own is no higher. Equal values go to the higher score, then to the lower
            position. Rows end in -1 where a quota or the candidates leave fewer than k.
        """
        items = np.full((candidates.n_users, k), -1, np.int64)
        scores = np.full((candidates.n_users, k), -np.inf, np.float32)
        allowed = np.ones(len(self._facts.items), bool)
        allowed[self.rules.excluded] = False
        if banned is not None:
            allowed[banned] = False
        for rows in self._blocks(candidates):
            block = Ranking(candidates.items[rows], candidates.scores[rows])
            left_out = None if excluded is None else excluded[rows]
            found = self._chosen(block, histories[rows], k, allowed, left_out)
            items[rows], scores[rows] = found
        return Ranking(items, scores)

    def _blocks(self, candidates: Ranking) -> Iterator[slice]:
        genres = self._facts.known_genres
        width = candidates.k + len(self.rules.pins)
        per_user = 8 * width * (3 * width + (0 if genres is None else 2 * len(genres.names)))
        size = max(1, BLOCK_BYTES // max(per_user, 1))
        for start in range(0, candidates.n_users, size):
            yield slice(start, start + size)

    def _chosen(
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
        may = np.tile(allowed[pins], (candidates.n_users, 1))
        if excluded is not None and len(pins):
            may &= ~(excluded[:, pins].toarray() > 0)
        items, scores, free, columns = _with_pins(candidates, pins, may)
        free &= allowed[np.maximum(items, 0)]
        pool = Pool(items, _relevance(scores) + rules.boosts[items], histories, self._facts)
        selection = ByRelevance(pool) if self._reranker is None else self._reranker.select(pool)
        quotas = rules.counted(items)
        order = np.full((len(items), k), -1, np.int64)
        users = np.arange(len(items))
        pin_at = {pin.place: columns[:, n] for n, pin in enumerate(pinned)}
        for column in pin_at.values():  # pins count from the start: they will be there
            quotas.add(np.maximum(column, 0), column >= 0)
        for place in range(1, k + 1):
            open_now = quotas.allowed(free, k - place + 1)
            if place in rules.genre_pins:
                members = open_now & rules.genre_pins[place][items]
                some = np.any(members, axis=1, keepdims=True)
                open_now = np.where(some, members, open_now)
            values = np.where(open_now, selection.values(), -np.inf)
            chosen = np.where(open_now.any(1), values.argmax(1), -1)
            counted = chosen >= 0
            if place in pin_at:
                counted &= pin_at[place] < 0
                chosen = np.where(pin_at[place] >= 0, pin_at[place], chosen)
            order[:, place - 1] = chosen
            found = chosen >= 0
            free[users[found], chosen[found]] = False
            column = np.maximum(chosen, 0)
            quotas.add(column, counted)
            selection.add(column)
        order = np.take_along_axis(order, np.argsort(order < 0, axis=1, kind="stable"), 1)
        at = np.maximum(order, 0)
        listed = np.where(order >= 0, np.take_along_axis(items, at, 1), -1)
        return listed, np.where(order >= 0, np.take_along_axis(scores, at, 1), -np.inf)


def _relevance(scores: Float[np.ndarray, "users n"]) -> Float[np.ndarray, "users n"]:
    """Scores of each user from 0, the last candidate's, to 1, the best one's."""
    valid = scores > -np.inf
    low = np.where(valid, scores, np.inf).min(1, keepdims=True)
    high = scores.max(1, keepdims=True)
    span = np.where(high > low, high - low, 1)
    return np.where(valid, (scores - np.where(valid, low, 0)) / span, 0).astype(np.float64)


def _with_pins(
    candidates: Ranking, pins: Int[np.ndarray, " pins"], may: Bool[np.ndarray, "users pins"]
) -> tuple[np.ndarray, np.ndarray, Bool[np.ndarray, "users n"], Int[np.ndarray, "users pins"]]:
    """Return items and scores with a column for each pin, what is free, and each pin's column.

    A pinned item is not free, whether it is a candidate or not: it has its place.
    """
    items, scores, n = candidates.items, candidates.scores, candidates.k
    last = np.where(scores > -np.inf, scores, np.inf).min(1, initial=np.inf)
    last = np.where(np.isfinite(last), last, 0)
    free = items >= 0
    columns = np.full(may.shape, -1, np.int64)
    for place, item in enumerate(pins):
        own = (items == item) & free & may[:, place, None]
        column = np.where(own.any(1), own.argmax(1), n + place)
        columns[:, place] = np.where(may[:, place], column, -1)
        free = free & ~own
    added = np.where(columns >= n, pins, -1)
    bound = np.where(columns >= n, last[:, None], -np.inf).astype(np.float32)
    return (
        np.concatenate([items, added], 1),
        np.concatenate([scores, bound], 1),
        np.concatenate([free, np.zeros(added.shape, bool)], 1),
        columns,
    )


Rerank = Reranking | Reranker | Rules | str | None
"""What callers may name a re-ranking by; see `Reranking.of`."""
