"""Code that a user plugs in: found in the current folder, and its bugs shown as theirs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nearfar as nf

METRIC = """
from dataclasses import dataclass
from nearfar.metrics.metric import UserMetric

@dataclass(frozen=True)
class Mine(UserMetric):
    k: int = 10

    def per_user(self, judged):
        return judged.no_such_thing
"""


def test_a_bug_in_a_users_metric_shows_their_traceback(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(METRIC)
    log = nf.read_log("synthetic:60x30x600")
    split = nf.split_strong(log, 10)
    nf.save_split(split, tmp_path / "split")
    model = nf.Popularity().fit(split.train)
    nf.save_bundle(nf.Bundle.of(model, nf.Popularity(), split.train), tmp_path / "bundle")
    program = "from nearfar.cli.main import main; main()"
    command = [sys.executable, "-c", program, "evaluate", "bundle", "--data", "split"]
    done = subprocess.run(
        [*command, "--metrics", "mine.Mine@5"], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "mine.py" in done.stderr
    assert "return judged.no_such_thing" in done.stderr
    assert "in code outside nearfar" in done.stderr
    assert "please report" not in done.stderr
    assert "nearfar/evaluation" not in done.stderr
