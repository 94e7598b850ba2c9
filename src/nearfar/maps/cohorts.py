"""Cohorts of users: groups to be told apart on a map."""

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
"""A cohort of fewer users than this is widened, as far as its neighbours allow."""

N_GENRES = 6

CLEAR = 2.0
"""How many standard deviations above chance make a taste."""

MAX_GENRES = 64
"""Only so many genres, those of most interactions, are looked at: there are tags by the
thousand, and users x genres is dense."""


@dataclass(frozen=True, eq=False)
class Cohorts:
    """Users, each in one of several groups.

    Args:
        names: of the groups, in their order.
        rows: positions of the users drawn, group after group.
        labels: the group of each, counted from 0.
        about: one JSON-able description a group: its name, the users it has, those drawn.
        notes: what a reader must know of how they were chosen, one sentence each.
        ordered: whether the groups are in order of size.
    """

    names: tuple[str, ...]
    rows: Int[np.ndarray, " users"]
    labels: Int[np.ndarray, " users"]
    about: tuple[dict[str, Any], ...]
    notes: tuple[str, ...] = ()
    ordered: bool = False

    @property
    def n_users(self) -> int:
        return len(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """The groups and notes, JSON-able; no users."""
        return {"groups": [dict(group) for group in self.about], "notes": list(self.notes)}


def cohorts_by_interactions(
    counts: Int[np.ndarray, " users"],
    sizes: Sequence[int] = SIZES,
    *,
    tolerance: float = 0.1,
    at_least: int = AT_LEAST,
    max_users: int | None = None,
    seed: int = 0,
) -> Cohorts:
    """Cohorts of users with about 5, about 50 and about 350 interactions, or other sizes.

    Sizes are compared by ratio: within a tolerance of .1 of 50 are 46 to 55 interactions. Where
    that gives fewer than `at_least` users, the cohort is widened to the `at_least` users that
    are nearest by ratio, all of the farthest count included; but never beyond the geometric mean
    of its size and the next one, so that cohorts do not meet. How many users there are, and what
    became of that, is in the notes.

    Source: the cohorts of Figure 2 and section 4.2, there with exact numbers of interactions.

    Args:
        counts: interactions of each user.
        sizes: in rising order.
        tolerance: how far a count may be from its size, as a share.
        at_least: users that a cohort should have.
        max_users: no more than so many in all, drawn evenly from the cohorts.
        seed: of that drawing.

    Raises:
        SettingsError: a size, the tolerance or `max_users` is out of range.
        EmptyDataError: fewer than two cohorts have two users or more.
    """
    sizes = tuple(sizes)
    if len(sizes) < 2 or sizes[0] < 1 or any(b <= a for a, b in pairwise(sizes)):
        raise SettingsError(
            f"cohort sizes are {list(sizes)}; give two or more in rising order, from 1"
        )
    if tolerance < 0 or at_least < 0:
        raise SettingsError(f"tolerance {tolerance} and at_least {at_least} must not be negative")
    counts = np.asarray(counts)
    groups, notes = [], []
    for i, size in enumerate(sizes):
        members, about = _near(counts, sizes, i, tolerance, at_least)
        notes += _widening(size, tolerance, about)
        groups.append((members, about))
    known = counts[counts > 0]
    hint = (
        f"users have {known.min()} to {known.max()} interactions, half of them at most "
        f"{int(np.median(known))}: choose other sizes, as {_sizes_of(known)} (--sizes)"
        if len(known)
        else "no user has any interaction"
    )
    return drawn(groups, notes, hint, max_users=max_users, seed=seed, ordered=True)


def _sizes_of(counts: np.ndarray) -> str:
    """Sizes of three cohorts that these numbers of interactions have."""
    sizes = np.unique(np.quantile(counts, (0.1, 0.5, 0.9), method="nearest").astype(int))
    return ",".join(map(str, sizes))


def _near(
    counts: Int[np.ndarray, " users"],
    sizes: tuple[int, ...],
    i: int,
    tolerance: float,
    at_least: int,
) -> tuple[Bool[np.ndarray, " users"], dict[str, Any]]:
    size = sizes[i]
    distance = np.abs(np.log(np.maximum(counts, 1) / size))
    distance[counts < 1] = np.inf
    low, high = sizes[max(i - 1, 0)], sizes[min(i + 1, len(sizes) - 1)]
    room = min(math.log(size / low) or math.inf, math.log(high / size) or math.inf) / 2
    # A count that lies exactly between two sizes is in neither cohort.
    possible = distance < room - 1e-12
    within = possible & (distance <= math.log1p(tolerance) + 1e-12)
    members = within
    if within.sum() < at_least and possible.any():
        nearest = np.sort(distance[possible])[:at_least]
        members = possible & (distance <= nearest[-1])
    found = counts[members]
    bounds = (int(found.min()), int(found.max())) if len(found) else (size, size)
    exact = bounds == (size, size)
    spelled = f"{size} interactions"
    return members, {
        "name": spelled if exact else f"about {spelled} ({bounds[0]}-{bounds[1]})",
        "size": size,
        "low": bounds[0],
        "high": bounds[1],
        "n_within_tolerance": int(within.sum()),
        "widened": bool(members.sum() > within.sum()),
    }


def _widening(size: int, tolerance: float, about: dict[str, Any]) -> list[str]:
    if not about["widened"]:
        return []
    n = about["n_within_tolerance"]
    have = "user has" if n == 1 else "users have"
    return [
        f"{n:,} {have} {size} interactions or within {tolerance:.0%} of it; widened to "
        f"{about['low']}-{about['high']}"
    ]


def drawn(
    groups: Sequence[tuple[Bool[np.ndarray, " users"], dict[str, Any]]],
    notes: Sequence[str],
    hint: str,
    *,
    max_users: int | None,
    seed: int,
    ordered: bool = False,
) -> Cohorts:
    """Cohorts of the groups that have two users or more, at most `max_users` in all.

    Args:
        groups: who is in each, and what is known of it, its "name" at least.
        notes: what is known so far.
        hint: what an error says of the data.
        max_users: where there are more, each group is cut to its equal share, drawn at random.
        seed: of the drawing.
        ordered: whether the groups are in order of size.

    Raises:
        SettingsError: `max_users` leaves a group fewer than two users.
        EmptyDataError: fewer than two groups have two users or more.
    """
    kept = [(np.flatnonzero(members), about) for members, about in groups if members.sum() > 1]
    left_out = [about["name"] for members, about in groups if members.sum() < 2]
    if len(kept) < 2:
        raise EmptyDataError(f"fewer than two cohorts have two users or more; {hint}")
    notes = [*notes, *(f"{name}: fewer than two users, left out" for name in left_out)]
    n_users = sum(len(members) for members, _ in kept)
    share = n_users if max_users is None or max_users >= n_users else max_users // len(kept)
    if share < 2:
        raise SettingsError(
            f"{max_users} users in {len(kept)} cohorts; a map needs two users a cohort"
        )
    rows, labels, described = [], [], []
    for label, (members, about) in enumerate(kept):
        chosen = members
        if len(members) > share:
            rng = generator(seed, "maps", "cohort", about["name"])
            chosen = np.sort(rng.choice(members, share, replace=False))
            notes.append(f"{about['name']}: {share:,} of {len(members):,} users drawn")
        rows.append(chosen)
        labels.append(np.full(len(chosen), label))
        described.append({**about, "n_users": len(members), "n_drawn": len(chosen)})
    names = tuple(about["name"] for about in described)
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
    """Cohorts of users who share a taste: the genre they choose most above chance.

    A user with N interactions would by chance have N p of a genre to which the share p of all
    interactions belongs. The user's genre is the one whose count exceeds that most, in standard
    deviations sqrt(N p (1 - p)); a user with none above two has no clear taste. The cohorts are
    the `n_genres` genres of most users; all others are left out and counted in the notes.

    Args:
        users: with "genres" among the items' details.
        n_genres: how many cohorts.
        max_users: no more than so many in all, drawn evenly from the cohorts.
        seed: of that drawing.

    Raises:
        DataError: the items have no genres.
        EmptyDataError: fewer than two genres have two users or more.
    """
    names, of_item = genre_matrix(users.item_ids)
    n_of_item = of_item.T @ users.item_counts
    looked_at = np.sort(np.argsort(-n_of_item, kind="stable")[:MAX_GENRES])
    share = n_of_item[looked_at] / max(1, users.n_interactions)
    varied = (share > 0) & (share < 1)
    looked_at, share = looked_at[varied], share[varied]
    counts = (users.x @ of_item[:, looked_at]).toarray()
    n = np.maximum(1, np.diff(users.x.indptr))[:, None]
    above = (counts - n * share) / np.sqrt(n * share * (1 - share))
    best = above.argmax(axis=1) if len(looked_at) else np.zeros(users.n_users, np.int64)
    clear = above.max(axis=1, initial=-np.inf) > CLEAR
    sizes = np.bincount(best[clear], minlength=len(looked_at))
    chosen = np.argsort(-sizes, kind="stable")[:n_genres]
    groups: list[tuple[np.ndarray, dict[str, Any]]] = [
        (clear & (best == g), {"name": names[looked_at[g]]}) for g in chosen if sizes[g]
    ]
    n_shown = int(sizes[chosen].sum())
    notes = [
        f"{n_shown:,} of {users.n_users:,} users have one of these genres for their clearest "
        f"taste, {int(clear.sum()) - n_shown:,} another, {int((~clear).sum()):,} none"
    ]
    hint = f"of {users.n_users:,} users {int(clear.sum()):,} have a clear taste in genres"
    return drawn(groups, notes, hint, max_users=max_users, seed=seed)
