"""Cohorts by genre of taste."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.data.genres import genre_matrix
from nearfar.data.interactions import Interactions
from nearfar.maps.cohorts import Cohorts, drawn

N_GENRES = 6
CLEAR = 2.0
"""How many standard deviations above chance make a taste."""

MAX_GENRES = 64
"""Only so many genres, those of most interactions, are looked at: there are tags by the
thousand, and users x genres is dense."""


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
