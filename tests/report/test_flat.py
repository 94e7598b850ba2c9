"""Nested values as rows."""

from nearfar.report.flat import flat


def test_names_are_dotted_and_values_readable() -> None:
    values = {
        "a": {"b": {"c": 1e-5}, "empty": {}}, "d": None, "e": [1, 2.0, "x"], "f": True, "g": [],
        "h": [{"k": 1}],
    }  # fmt: skip
    assert flat(values) == {
        "a.b.c": "1e-05", "a.empty": "none", "d": "none", "e": "1, 2, x", "f": "yes", "g": "none",
        "h": "k 1",
    }  # fmt: skip
