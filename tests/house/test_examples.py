"""Every name of the reference has an example, which runs as it stands there."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

import nearfar
from tests.house.pages import ENTRIES, paths_of

INDEX = Path(__file__).parents[2] / "docs" / "reference" / "index.md"
PATHS = sorted({path for page in ENTRIES for path in paths_of(page)})
NOT_RUN = {
    "autopilot", "data_set", "fetch", "fit_histories", "read_parts", "reproduce", "run_due",
    "score_daily", "score_histories", "train_weekly", "read_pipeline", "remove_day", "publish",
    "rollback", "status", "RunResult", "Scored", "Trained", "read_log", "describe_histories",
}  # fmt: skip
"""Names whose examples may hold lines that are not run: they need a download, a pipeline or Ray."""


@pytest.fixture(scope="module")
def program() -> dict[str, Any]:
    """What the program on the index page leaves behind."""
    names: dict[str, Any] = {"__name__": "__main__"}
    block = re.search(r"```python\n(.*?)```", INDEX.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    exec(block[1], names)
    return names


def test_every_public_name_is_on_a_page() -> None:
    homes = {f"{home}.{name}" for name, home in nearfar._HOME_OF.items()}
    assert homes <= set(PATHS)


@pytest.mark.parametrize("path", PATHS)
def test_has_an_example_that_runs(path: str, program, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    mpl.use("Agg")
    home, _, name = path.rpartition(".")
    text = getattr(importlib.import_module(home), name).__doc__
    test = doctest.DocTestParser().get_doctest(text, dict(program), name, None, 0)
    assert test.examples, f"{path} has no example; write one under 'Examples:'"
    run = [e for e in test.examples if not e.options.get(doctest.SKIP)]
    assert name in NOT_RUN or len(run) == len(test.examples)
    told: list[str] = []
    assert not doctest.DocTestRunner(verbose=False).run(test, out=told.append).failed, "".join(told)
