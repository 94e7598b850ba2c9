"""Courses over tenths."""

import numpy as np
import pytest

from nearfar.theory.tenths import course, tenths


def test_a_course_is_of_means_in_tenths() -> None:
    x = np.random.default_rng(0).permutation(100)
    middle, doubled = course(x, 2 * x)
    assert middle == pytest.approx([4.5 + 10 * t for t in range(10)])
    assert doubled == pytest.approx([2 * m for m in middle])
    assert (np.bincount(tenths(x)) == 10).all()


def test_equal_values_lie_in_one_tenth_and_empty_tenths_are_left_out() -> None:
    middle, of = course(np.array([1.0] * 95 + [2.0] * 5), np.arange(100))
    assert middle == (1.0, 2.0)
    assert of == pytest.approx((47.0, 97.0))
    assert course(np.ones(4), np.arange(4)) == ((1.0,), (1.5,))
