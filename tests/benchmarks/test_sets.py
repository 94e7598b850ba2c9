"""Experiments over several sets: one record, written after each set."""

from __future__ import annotations

import sys
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
