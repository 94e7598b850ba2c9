"""What the guide shows is run, as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import polars as pl

from tests.store.cases import events, partitioned

GUIDE = (Path(__file__).parents[2] / "docs" / "guide" / "store.md").read_text()


def test_the_python_lines_run(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    frame = events().with_columns(user=pl.format("u{}", pl.int_range(pl.len()) % 7))
    partitioned(frame, tmp_path / "events")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "events of 7 users" in done.stdout
    assert "[datetime.date(2026, 3, 8)] shape: (3, 6)" in done.stdout


def test_what_the_guide_says_of_settings_holds() -> None:
    from nearfar.store.contracts import Contract

    told = dict(re.findall(r"`(max_\w+_share)` \((\.\d+)\)", GUIDE))
    assert len(told) == 5
    for name, value in told.items():
        assert getattr(Contract(), name) == float(value)
