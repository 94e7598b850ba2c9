"""Cohorts by genre of taste."""

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array

from nearfar.core.errors import DataError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import Interactions
from nearfar.maps.cohorts import cohorts_by_genre

GENRES = [["Drama"]] * 20 + [["Comedy"]] * 8 + [["Horror", "Drama"]] * 4


def users_of(rows: list[list[int]], genres=GENRES) -> Interactions:
    x = np.zeros((len(rows), len(genres)), np.float32)
    for row, items in zip(x, rows, strict=True):
        row[items] = 1
    details = pl.DataFrame({"genres": genres}, schema={"genres": pl.List(pl.String)})
    items = Vocabulary(list(range(len(genres))), details)
    return Interactions(csr_array(x), Vocabulary(list(range(len(rows)))), items)


DRAMA, COMEDY, HORROR = list(range(20)), list(range(20, 28)), list(range(28, 32))


def test_the_taste_is_what_is_chosen_above_chance_not_most() -> None:
    mixed = [0, 1, 2, 3, 4, 5, 20, 21, 28]
    users = users_of([DRAMA] * 6 + [COMEDY] * 9 + [[*HORROR, 0, 1, 2, 3, 4]] * 3 + [mixed])
    cohorts = cohorts_by_genre(users)
    found = {
        name: cohorts.rows[cohorts.labels == label].tolist()
        for label, name in enumerate(cohorts.names)
    }
    # the third kind has nine dramas among nine items, yet horror is what others seldom have
    assert found == {"Drama": [*range(6)], "Comedy": [*range(6, 15)], "Horror": [15, 16, 17]}
    assert cohorts.notes[0].endswith("0 another, 1 none")
    assert not cohorts.ordered


def test_only_the_most_frequent_genres_are_shown_and_the_rest_is_counted() -> None:
    users = users_of([COMEDY] * 6 + [HORROR] * 5 + [DRAMA] * 4 + [[0, 20]])
    cohorts = cohorts_by_genre(users, n_genres=2)
    assert [g["n_users"] for g in cohorts.groups] == [6, 5]
    assert cohorts.names == ("Comedy", "Horror")
    assert cohorts.notes[0].startswith("11 of 16 users have one of these genres")


def test_items_without_genres_and_a_genre_of_all_do_no_harm() -> None:
    genres = [["Film", *g] for g in GENRES[:-1]] + [None]
    cohorts = cohorts_by_genre(users_of([COMEDY] * 6 + [DRAMA] * 6 + [[31]] * 2, genres))
    assert "Film" not in cohorts.names
    assert 12 not in cohorts.rows


def test_data_without_genres_is_refused_with_the_remedy() -> None:
    users = users_of([COMEDY, DRAMA])
    bare = Interactions(users.x, users.user_ids, Vocabulary(list(range(len(GENRES)))))
    with pytest.raises(DataError, match="--item-details"):
        cohorts_by_genre(bare)
