"""What `nearfar diagnose` writes down: enough to know what was measured, and on what."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from nearfar.bundle.folder import save_bundle
from nearfar.cli.diagnose import _progress
from nearfar.cli.main import run
from nearfar.cli.output import Output
from nearfar.core.files import read_json
from nearfar.data.splits.folder import save_split
from nearfar.theory.instrument import all_instruments
from tests.report.cases import bundle, split
from tests.theory.cases import subject


@pytest.mark.parametrize(("n_told", "left", "last"), [(1, "about 7 s left", "a: "), (4, "", "b: ")])
def test_a_terminal_shows_what_is_measured_and_the_time_left(
    n_told: int, left: str, last: str
) -> None:
    output, shown = Output(as_json=False, quiet=False), io.StringIO()
    output.stderr = Console(file=shown, force_terminal=True, width=120)
    subjects = {"a": subject(), "b": subject("pia")}
    few = {name: all_instruments()[name] for name in ("health", "masking")}
    with _progress(output, subjects, few, 7.0) as tell:
        steps = [(one.title, title) for one in few.values() for title in subjects]
        for what, title in steps[:n_told]:
            tell(what, title)
    assert left in shown.getvalue()
    assert last + steps[n_told - 1][0] in shown.getvalue()
    assert "s left" in shown.getvalue()


def test_elsewhere_there_is_a_line_a_measurement_and_none_if_quiet() -> None:
    for quiet, told in ((False, "a: Sharing radius ...\n"), (True, "")):
        output, shown = Output(as_json=False, quiet=quiet), io.StringIO()
        output.stderr = Console(file=shown, force_terminal=False, width=120)
        with _progress(output, {"a": subject()}, {}, 7.0) as tell:
            tell("Sharing radius", "a")
        assert shown.getvalue() == told


def test_the_record_has_sample_sizes_cost_and_fingerprints(tmp_path: Path, capsys) -> None:
    save_split(split(), tmp_path / "split")
    save_bundle(bundle("plain"), tmp_path / "plain")
    arguments = ["diagnose", tmp_path / "plain", "--data", tmp_path / "split", "--only", "health"]
    sizes = ["--users", "50", "--sharing-users", "80", "--masks", "3", "--keep-prob", "0.7"]
    assert run([*map(str, arguments), *sizes, "--out", str(tmp_path / "d.json"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "d.json").read_text()) == told
    assert (told["n_users"], told["n_sharing_users"], told["n_masks"]) == (50, 50, 3)
    assert (told["keep_prob"], told["of"], told["seed"]) == (0.7, "all", 0)
    assert told["estimated_seconds"] > 0
    assert told["total_seconds"] >= told["seconds"]["health"] > 0
    manifest = read_json(tmp_path / "plain" / "manifest.json")
    assert told["fingerprints"] == {
        "split": split().fingerprint,
        "training_users": split().train.fingerprint,
        "bundles": {
            "plain": {"bundle": manifest["sha256"], "trained_on": split().train.fingerprint}
        },
    }
