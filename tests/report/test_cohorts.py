"""Cohorts of the map: the paper's where there are such users, else those of the data."""

import numpy as np
import pytest

from nearfar.core.errors import SettingsError
from nearfar.report.report import report_cohorts


def sizes(counts: np.ndarray) -> list[int]:
    return [group["size"] for group in report_cohorts(counts, 1000, seed=0).groups]


def test_the_papers_where_the_data_have_them() -> None:
    assert sizes(np.repeat([5, 20, 50, 90, 350], 30)) == [5, 50, 350]


@pytest.mark.parametrize("top", [40, 100])
def test_else_those_of_the_data(top: int) -> None:
    """Up to 40 interactions one of the paper's cohorts has users, up to 100 two."""
    counts = np.arange(1, top + 1)
    assert sizes(counts) == pytest.approx([0.05 * top, 0.5 * top, 0.95 * top], abs=1)


def test_users_who_all_have_as_many_make_no_cohorts() -> None:
    with pytest.raises(SettingsError):
        report_cohorts(np.full(50, 7), 1000, seed=0)
