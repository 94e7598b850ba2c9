"""Titles as people type them find the item that they mean, or are told what is near."""

from __future__ import annotations

import time

import numpy as np
import polars as pl
import pytest

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.match_items import match_items
from nearfar.core.errors import DataError
from nearfar.core.vocabulary import Vocabulary
from nearfar.models.constant import Constant
from tests.bundle.cases import ABOUT, make_bundle

TITLES = {
    1: "Toy Story (1995)",
    2: "Matrix, The (1999)",
    3: "Heat (1995)",
    4: "Heat (1986)",
    5: "Postman, The (Il Postino) (1994)",
    6: "Postman, The (1997)",
    7: "Cité des enfants perdus, La (1995)",
    8: "Star Wars: Episode IV - A New Hope (1977)",
    9: "1984",
    10: None,
    11: "Auberge, L' (2002)",
    12: "Toy Story 2 (1999)",
    13: "Misérables, Les (1995)",
    14: "Twin Peaks (1990-1991)",
    1984: "The Terminator",
}


@pytest.fixture(scope="module")
def films() -> Bundle:
    items = Vocabulary(list(TITLES), pl.DataFrame({"title": list(TITLES.values())}))
    return Bundle(Constant(np.arange(len(TITLES)), 9), items, ABOUT)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Toy Story (1995)", 1),
        ("toy  STORY", 1),
        (" Toy Story ", 1),
        ("The Matrix", 2),
        ("matrix, the", 2),
        ("The Matrix (1999)", 2),
        ("Heat (1995)", 3),
        ("heat (1986)", 4),
        ("Il Postino", 5),
        ("The Postman (Il Postino)", 5),
        ("Il Postino (1994)", 5),
        ("The Postman (1997)", 6),
        ("the postman", 6),  # called just so; the other has a second title
        ("La Cite des enfants perdus", 7),
        ("L'Auberge", 11),
        ("les miserables", 13),
        ("Twin Peaks", 14),
        ("terminator, the", 1984),
        ("The Terminator (1984)", 1984),  # the title without a year may be of any
        ("12", 12),
        ("1984", 1984),  # an id goes before a title
    ],
)
def test_what_is_typed_is_found(films, text, wanted) -> None:
    matches = match_items(films, [text])
    assert [item.id for item in matches.found] == [wanted]
    assert matches.problems == []
    assert matches.history().sum() == 1


def test_ids_and_titles_can_be_asked_for(films) -> None:
    assert match_items(films, ["1984"], by="title").found[0].id == 9
    assert match_items(films, ["3"], by="id").found[0].title == "Heat (1995)"
    with pytest.raises(DataError, match="'Toy Story' is unknown; near it"):
        match_items(films, ["Toy Story"], by="id")
    with pytest.raises(DataError, match="'auto', 'id' or 'title'"):
        match_items(films, ["x"], by="colour")
    with pytest.raises(DataError, match="has no titles; give ids"):
        match_items(make_bundle(titles=False), ["x"], by="title")


def test_a_title_of_several_items_lists_them_popular_first(films) -> None:
    matches = match_items(films, ["Heat", "Toy Story"])
    assert [item.id for item in matches.found] == [1]
    assert [c.id for c in matches.ambiguous[0].candidates] == [4, 3]
    assert matches.unknown == []
    assert matches.problems == [
        "'Heat' is the title of 'Heat (1986)' (id 4), 'Heat (1995)' (id 3); give the id"
    ]


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("Toy Stroy", 1),
        ("Matirx", 2),
        ("Matrix", 2),
        ("Heat (2001)", 4),
        ("star wars", 8),
        ("Terminater", 1984),
        ("lhe terminator 2", 1984),
    ],
)
def test_a_near_miss_is_told_what_is_near(films, text, near) -> None:
    matches = match_items(films, ["1", text])
    assert [m.text for m in matches.unknown] == [text]
    suggested = [c.id for c in matches.unknown[0].candidates]
    assert suggested[0] == near
    assert len(suggested) <= 3
    assert f"{text!r} is unknown; near it: " in matches.problems[0]


def test_nonsense_is_near_nothing(films) -> None:
    for text in ("", "q", "zzqqxx", "%(.*", "日本"):
        assert match_items(films, ["1", text]).unknown[0].candidates == ()


def test_nothing_clear_is_one_error_of_one_line(films) -> None:
    with pytest.raises(DataError, match=r"no item was matched: 'Toy Stor' .*\| 'zz' is unknown"):
        match_items(films, ["Toy Stor", "zz"])
    assert match_items(films, []).history().nnz == 0


def test_an_item_named_twice_counts_once(films) -> None:
    matches = match_items(films, ["Toy Story", "3", "1"])
    assert matches.positions.tolist() == [0, 2]
    assert matches.history().indices.tolist() == [0, 2]


def test_text_ids() -> None:
    items = Vocabulary(["a-1", "B7"], pl.DataFrame({"title": ["One", None]}))
    bundle = Bundle(Constant(np.array([2, 1]), 3), items, ABOUT)
    assert [i.id for i in match_items(bundle, ["B7", "one"]).found] == ["B7", "a-1"]
    assert str(match_items(bundle, ["B7"]).found[0]) == "B7"


def test_sixty_thousand_titles_are_searched_at_once() -> None:
    rng = np.random.default_rng(0)
    words = ["".join(chr(97 + c) for c in rng.integers(0, 26, 5)) for _ in range(900)]
    picks = rng.integers(0, 900, (60_000, 3))
    titles = [f"{' '.join(words[i] for i in row)} ({1950 + n % 70})" for n, row in enumerate(picks)]
    items = Vocabulary(list(range(60_000)), pl.DataFrame({"title": titles}))
    bundle = Bundle(Constant(np.ones(60_000, int), 3), items, ABOUT)
    wanted = titles[777][:-8]
    match_items(bundle, [titles[0]])
    started = time.process_time()
    matches = match_items(bundle, ["0", *[wanted[:i] + wanted[i + 1 :] for i in range(10)]])
    seconds = time.process_time() - started
    assert all(m.candidates[0].title[:-7] == titles[777][:-7] for m in matches.unknown)
    assert len(matches.unknown) == 10
    assert seconds < 5  # of the processor; .1 s a title where nothing else runs


def test_an_id_with_a_separator_is_one_item() -> None:
    items = Vocabulary(["a", "b", "a;b", "c,d"])
    bundle = Bundle(Constant(np.arange(4), 9), items, ABOUT)
    assert match_items(bundle, "a;b").positions.tolist() == [2]
    assert match_items(bundle, "b;a").positions.tolist() == [1, 0]
    assert match_items(bundle, "c,d").positions.tolist() == [3]
    assert match_items(bundle, "a;c,d").positions.tolist() == [0, 3]
