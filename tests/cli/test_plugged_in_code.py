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


def evaluated(folder: Path, metric: str) -> str:
    """What `nearfar evaluate` says on standard error where the metric is wrong."""
    log = nf.read_log("synthetic:60x30x600")
    split = nf.split_strong(log, 10)
    nf.save_split(split, folder / "split")
    model = nf.Popularity().fit(split.train)
    nf.save_bundle(nf.Bundle.of(model, nf.Popularity(), split.train), folder / "bundle")
    program = "from nearfar.cli.main import main; main()"
    command = [sys.executable, "-c", program, "evaluate", "bundle", "--data", "split"]
    done = subprocess.run(
        [*command, "--metrics", metric], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    return done.stderr


def test_a_bug_in_a_users_metric_shows_their_traceback(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(METRIC)
    told = evaluated(tmp_path, "mine.Mine@5")
    assert "mine.py" in told
    assert "return judged.no_such_thing" in told
    assert "in code outside nearfar" in told
    assert "please report" not in told
    assert "nearfar/evaluation" not in told


def test_a_users_file_that_cannot_be_parsed_shows_its_line(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(METRIC + "def broken(:\n")
    told = evaluated(tmp_path, "mine.Mine@5")
    assert 'mine.py", line 11' in told
    assert "def broken(:" in told
    assert "SyntaxError in code outside nearfar" in told
    assert "please report" not in told


def test_a_file_that_is_misspelt_or_has_no_class_named_is_found(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(METRIC)
    assert "did you mean 'mine'" in evaluated(tmp_path, "mnie.Mine@5")
    assert "as mine.MyClass" in evaluated(tmp_path, "mine@5")
