"""Numbers as text."""

import pytest

from nearfar.evaluation.text import percent


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.00354, "0.35 %"), (0.0354, "3.5 %"), (0.354, "35 %"), (3.2, "320 %"),
     (12.5, "1,250 %"), (-0.4, "-40 %"), (5e-7, "<0.01 %"), (1e-4, "0.01 %")],
)  # fmt: skip
def test_percent_has_no_exponent(share: float, text: str) -> None:
    assert percent(share) == text
