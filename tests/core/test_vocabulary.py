"""Ids and their positions."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import DataError
from nearfar.core.vocabulary import Vocabulary


@given(st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=30))
def test_integer_ids_are_found_where_they_stand(ids: list[int]) -> None:
    vocabulary = Vocabulary(ids)
    np.testing.assert_array_equal(vocabulary.index(ids), np.arange(len(ids)))


@given(st.lists(st.text(max_size=5), unique=True, min_size=1, max_size=30))
def test_text_ids_are_found_where_they_stand(ids: list[str]) -> None:
    vocabulary = Vocabulary(ids)
    np.testing.assert_array_equal(vocabulary.index(ids[::-1]), np.arange(len(ids))[::-1])
    assert Vocabulary(ids).fingerprint == vocabulary.fingerprint


def test_unknown_ids_are_minus_one_and_kinds_are_converted() -> None:
    numbers, words = Vocabulary([2**40, 7]), Vocabulary(["7", "b"])
    np.testing.assert_array_equal(numbers.index(["7", "x", str(2**40)]), [1, -1, 0])
    np.testing.assert_array_equal(words.index([7, 8]), [0, -1])


def test_order_and_kind_are_in_the_fingerprint() -> None:
    prints = {
        Vocabulary(v).fingerprint for v in ([1, 2], [2, 1], ["1", "2"], ["12", ""], ["1", "2 "])
    }
    assert len(prints) == 5


@pytest.mark.parametrize(
    ("ids", "told"),
    [([1, 1], "occurs twice"), ([1.5, 2.0], "must be integers or text"), ([1, None], "missing")],
)
def test_bad_ids_are_refused(ids, told: str) -> None:
    with pytest.raises(DataError, match=told):
        Vocabulary(ids)


def test_details_travel() -> None:
    details = pl.DataFrame({"title": ["Alien", "Brazil", None]})
    vocabulary = Vocabulary([5, 6, 7], details).take(np.array([2, 0]))
    assert vocabulary.ids.to_list() == [7, 5]
    assert vocabulary.titles is not None
    assert vocabulary.titles.to_list() == [None, "Alien"]
    again = Vocabulary.from_frame(vocabulary.frame())
    assert again == vocabulary
    assert again.details.equals(vocabulary.details)
    with pytest.raises(DataError, match="rows of details"):
        Vocabulary([1], details)
