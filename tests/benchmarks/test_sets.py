"""Experiments over several sets: one record, written after each set."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks.experiments import sets

from nearfar.core.files import read_json


def test_a_set_measured_again_replaces_its_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sets, "provenance", lambda: {"commit": "c"})
    script = str(tmp_path / "some.py")
    seen: list[Any] = []

    def measure(name: str, before: dict[str, Any] | None) -> dict[str, Any]:
        seen.append((name, before and before["value"]))
        if name == "broken":
            raise ValueError
        return {"value": len(seen)}

    monkeypatch.setattr(sys, "argv", ["some"])
    sets.run(measure, ["a", "b"], script, "Doc.")
    monkeypatch.setattr(sys, "argv", ["some", "--data", "a,broken"])
    with pytest.raises(ValueError):  # noqa: PT011
        sets.run(measure, ["a", "b"], script, "Doc.")
    assert seen == [("a", None), ("b", None), ("a", 1), ("broken", None)]
    assert read_json(tmp_path / "some.json")["sets"] == [
        {"data": "b", "value": 2, "provenance": {"commit": "c"}},
        {"data": "a", "value": 3, "provenance": {"commit": "c"}},
    ]


def test_an_entry_given_bit_by_bit_is_on_disk_when_it_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sets, "provenance", lambda: {"commit": "c"})
    monkeypatch.setattr(sys, "argv", ["some"])

    def measure(name: str, before: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
        yield {"rows": [1]}
        yield {"rows": [1, 2]}
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        sets.run(measure, ["a"], str(tmp_path / "some.py"), "Doc.")
    assert read_json(tmp_path / "some.json")["sets"] == [
        {"data": "a", "rows": [1, 2], "provenance": {"commit": "c"}}
    ]
