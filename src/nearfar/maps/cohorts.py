"""Cohorts of users: the groups that a map shows in different colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from nearfar.core.errors import EmptyDataError, SettingsError
from nearfar.core.seeding import generator
from nearfar.data.genres import genre_matrix
from nearfar.data.interactions import Interactions

SIZES = (5, 50, 350)
"""The cohorts of the paper's Figure 2."""

AT_LEAST = 100
"""A cohort with fewer users than this is widened, as far as the neighbouring cohorts allow."""

N_GENRES = 6

MIN_DEVIATIONS = 2.0
"""Least number of standard deviations above chance for a clear taste."""

MAX_GENRES = 64
"""Number of genres with the most interactions that are compared. There may be thousands of tags,
and users x genres is dense."""


@dataclass(frozen=True, eq=False)
class Cohorts:
    """Users in disjoint groups.

    Args:
        names: names of the groups.
        rows: positions of the drawn users, group after group.
        labels: group of each drawn user, counted from 0.
        groups: one JSON-able description per group, with its name and numbers of users.
        notes: remarks on how the groups were chosen, one sentence each.
        ordered: whether the groups are in order of size.
    """

    names: tuple[str, ...]
    rows: Int[np.ndarray, " users"]
    labels: Int[np.ndarray, " users"]
    groups: tuple[dict[str, Any], ...]
    notes: tuple[str, ...] = ()
    ordered: bool = False

    @property
    def n_users(self) -> int:
        return len(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return groups and notes as JSON-able values, without the users."""
        return {"groups": [dict(group) for group in self.groups], "notes": list(self.notes)}


def cohorts_by_interactions(
    counts: Int[np.ndarray, " users"],
    sizes: Sequence[int] = SIZES,
    *,
    tolerance: float = 0.1,
    at_least: int = AT_LEAST,
    max_users: int | None = None,
    seed: int = 0,
) -> Cohorts:
    """Draw cohorts of users with about 5, about 50 and about 350 interactions, or other sizes.

    Sizes are compared by ratio: 46 to 55 interactions are within a tolerance of .1 of 50. A cohort
    with fewer than `at_least` users is widened to the `at_least` users nearest by ratio, including
    all users with the farthest count. It never passes the geometric mean of its size and the next
    one, so cohorts do not overlap. The notes say how many users there are and which cohorts were
    widened.

    Source: the cohorts of Figure 2 and section 4.2, there with exact numbers of interactions.

    Args:
        counts: number of interactions of each user.
        sizes: sizes of the cohorts in interactions, in rising order.
        tolerance: largest deviation of a count from its size, as a share.
        at_least: least users of a cohort before it is widened.
        max_users: most users in all, drawn evenly from the cohorts.
        seed: random seed of that drawing.

    Raises:
        SettingsError: a size, the tolerance or `max_users` is out of range.
        EmptyDataError: fewer than two cohorts have two users or more.
    """
    sizes = tuple(sizes)
    if len(sizes) < 2 or sizes[0] < 1 or any(b <= a for a, b in pairwise(sizes)):
        raise SettingsError(
            f"cohort sizes are {list(sizes)}; give two or more in rising order, each at least 1"
        )
    if tolerance < 0 or at_least < 0:
        raise SettingsError(f"tolerance {tolerance} and at_least {at_least} must not be negative")
    counts = np.asarray(counts)
    groups, notes = [], []
    for index, size in enumerate(sizes):
        members, group = _cohort_near(counts, sizes, index, tolerance, at_least)
        notes += _widening_notes(size, tolerance, group)
        groups.append((members, group))
    known = counts[counts > 0]
    hint = (
        f"users have {known.min()} to {known.max()} interactions, half of them at most "
        f"{int(np.median(known))}; choose other sizes, such as {_possible_sizes(known)} (--sizes)"
        if len(known)
        else "no user has any interaction"
    )
    return draw_cohorts(groups, notes, hint, max_users=max_users, seed=seed, ordered=True)


def _possible_sizes(counts: np.ndarray) -> str:
    """Return sizes of three cohorts that exist in these numbers of interactions."""
    sizes = np.unique(np.quantile(counts, (0.1, 0.5, 0.9), method="nearest").astype(int))
    return ",".join(map(str, sizes))


def _cohort_near(
    counts: Int[np.ndarray, " users"],
    sizes: tuple[int, ...],
    index: int,
    tolerance: float,
    at_least: int,
) -> tuple[Bool[np.ndarray, " users"], dict[str, Any]]:
    size = sizes[index]
    distance = np.abs(np.log(np.maximum(counts, 1) / size))
    distance[counts < 1] = np.inf
    low, high = sizes[max(index - 1, 0)], sizes[min(index + 1, len(sizes) - 1)]
    max_distance = min(math.log(size / low) or math.inf, math.log(high / size) or math.inf) / 2
    # A count exactly between two sizes is in neither cohort.
    possible = distance < max_distance - 1e-12
    within = possible & (distance <= math.log1p(tolerance) + 1e-12)
    members = within
    if within.sum() < at_least and possible.any():
        nearest = np.sort(distance[possible])[:at_least]
        members = possible & (distance <= nearest[-1])
    member_counts = counts[members]
    bounds = (size, size)
    if len(member_counts):
        bounds = (int(member_counts.min()), int(member_counts.max()))
    exact = bounds == (size, size)
    name = f"{size} interactions"
    return members, {
        "name": name if exact else f"about {name} ({bounds[0]}-{bounds[1]})",
        "size": size,
        "low": bounds[0],
        "high": bounds[1],
        "n_within_tolerance": int(within.sum()),
        "widened": bool(members.sum() > within.sum()),
    }


def _widening_notes(size: int, tolerance: float, group: dict[str, Any]) -> list[str]:
    if not group["widened"]:
        return []
    n = group["n_within_tolerance"]
    have = "user has" if n == 1 else "users have"
    return [
        f"{n:,} {have} {size} interactions or within {tolerance:.0%} of it; widened to "
        f"{group['low']}-{group['high']}"
    ]


def draw_cohorts(
    groups: Sequence[tuple[Bool[np.ndarray, " users"], dict[str, Any]]],
    notes: Sequence[str],
    hint: str,
    *,
    max_users: int | None,
    seed: int,
    ordered: bool = False,
) -> Cohorts:
    """Draw cohorts from the groups with two users or more, at most `max_users` in all.

    Args:
        groups: mask of members and description of each group, with at least its "name".
        notes: notes so far.
        hint: advice on the data, for the error message.
        max_users: if there are more users, each group is cut to an equal share, drawn at random.
        seed: random seed of the drawing.
        ordered: whether the groups are in order of size.

    Raises:
        SettingsError: `max_users` leaves a group fewer than two users.
        EmptyDataError: fewer than two groups have two users or more.
    """
    cohorts = [(np.flatnonzero(members), group) for members, group in groups if members.sum() > 1]
    left_out = [group["name"] for members, group in groups if members.sum() < 2]
    if len(cohorts) < 2:
        raise EmptyDataError(f"fewer than two cohorts have two users or more; {hint}")
    notes = [*notes, *(f"{name}: fewer than two users, left out" for name in left_out)]
    n_users = sum(len(members) for members, _ in cohorts)
    share = n_users if max_users is None or max_users >= n_users else max_users // len(cohorts)
    if share < 2:
        raise SettingsError(
            f"{max_users} users in {len(cohorts)} cohorts; a map needs two users per cohort"
        )
    rows, labels, described = [], [], []
    for label, (members, group) in enumerate(cohorts):
        drawn = members
        if len(members) > share:
            rng = generator(seed, "maps", "cohort", group["name"])
            drawn = np.sort(rng.choice(members, share, replace=False))
            notes.append(f"{group['name']}: {share:,} of {len(members):,} users drawn")
        rows.append(drawn)
        labels.append(np.full(len(drawn), label))
        described.append({**group, "n_users": len(members), "n_drawn": len(drawn)})
    names = tuple(group["name"] for group in described)
    return Cohorts(
        names, np.concatenate(rows), np.concatenate(labels), tuple(described), tuple(notes), ordered
    )


def cohorts_by_genre(
    users: Interactions,
    *,
    n_genres: int = N_GENRES,
    max_users: int | None = None,
    seed: int = 0,
) -> Cohorts:
    """Draw cohorts of users with the same clearest genre, the one most above chance.

    If a share p of all interactions is in a genre, a user with N interactions has N p of it by
    chance. The user's genre is the one whose count exceeds that most, in standard deviations
    sqrt(N p (1 - p)); a user with no genre above two deviations has no clear taste. The cohorts are
    the `n_genres` genres with the most users; all others are left out and counted in the notes.

    Args:
        users: interactions with "genres" among the details of items.
        n_genres: number of cohorts.
        max_users: most users in all, drawn evenly from the cohorts.
        seed: random seed of that drawing.

    Raises:
        DataError: the items have no genres.
        EmptyDataError: fewer than two genres have two users or more.
    """
    names, item_genres = genre_matrix(users.item_ids)
    n_by_genre = item_genres.T @ users.item_counts
    candidates = np.sort(np.argsort(-n_by_genre, kind="stable")[:MAX_GENRES])
    share = n_by_genre[candidates] / max(1, users.n_interactions)
    varied = (share > 0) & (share < 1)
    candidates, share = candidates[varied], share[varied]
    counts = (users.x @ item_genres[:, candidates]).toarray()
    n = np.maximum(1, np.diff(users.x.indptr))[:, None]
    deviations = (counts - n * share) / np.sqrt(n * share * (1 - share))
    best = deviations.argmax(axis=1) if len(candidates) else np.zeros(users.n_users, np.int64)
    clear = deviations.max(axis=1, initial=-np.inf) > MIN_DEVIATIONS
    sizes = np.bincount(best[clear], minlength=len(candidates))
    largest = np.argsort(-sizes, kind="stable")[:n_genres]
    groups: list[tuple[np.ndarray, dict[str, Any]]] = [
        (clear & (best == g), {"name": names[candidates[g]]}) for g in largest if sizes[g]
    ]
    n_in_cohorts = int(sizes[largest].sum())
    notes = [
        f"{n_in_cohorts:,} of {users.n_users:,} users have one of these genres for their clearest "
        f"taste, {int(clear.sum()) - n_in_cohorts:,} another, {int((~clear).sum()):,} none"
    ]
    hint = f"of {users.n_users:,} users {int(clear.sum()):,} have a clear taste in genres"
    return draw_cohorts(groups, notes, hint, max_users=max_users, seed=seed)
