"""What `nearfar diagnose` writes down: enough to know what was measured, and on what."""

from __future__ import annotations

import json
from pathlib import Path

from nearfar.bundle.folder import save_bundle
from nearfar.cli.main import run
from nearfar.core.files import read_json
from nearfar.data.splits.folder import save_split
from tests.report.cases import bundle, split


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
