"""A blend from the command line: trained, saved, exported; what it has not is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nearfar.bundle.folder import load_bundle
from nearfar.cli.main import run
from nearfar.models.ensemble import Ensemble
from nearfar.train.checkpoint import NAME

VAE = (
    'parts=["edlae", {kind="multvae", n_latent=4, decoder_hidden=[6], epochs=2, batch_size=4, '
    'encoder={kind="base", hidden=[6]}}]'
)


@pytest.fixture(scope="module")
def blend(work: Path) -> Path:
    arguments = ["--set", VAE, "--data", str(work / "split"), "--out", str(work / "blend")]
    assert run(["train", "blend", *arguments, "--quiet"]) == 0
    return work / "blend"


def test_the_bundle_holds_the_chosen_weights_and_settings_from_the_data(blend) -> None:
    bundle = load_bundle(blend)
    assert isinstance(bundle.model, Ensemble)
    settings = bundle.metadata.settings
    assert settings["weights"] == list(bundle.model.weights)
    assert settings["parts"][0]["kind"] == "edlae"
    assert settings["parts"][0]["l2"] > 0
    assert bundle.model.label is not None
    assert bundle.model.label.startswith("Blend(parts=(EDLAE(l2=")


def test_what_is_computed_from_the_data_and_each_part_are_named(work, capsys, tmp_path) -> None:
    arguments = ["--set", 'parts=["ease", "popularity"]', "--data", str(work / "split")]
    assert run(["train", "blend", *arguments, "--out", str(tmp_path / "b")]) == 0
    told = capsys.readouterr().err
    assert "computed from the data: parts[0].l2=" in told
    assert told.index("fitting EASE") < told.index("fitting Popularity")


def test_it_recommends_evaluates_and_is_exported(blend, work, as_json, tmp_path) -> None:
    told = as_json("evaluate", blend, "--data", work / "split")
    assert "NDCG@100" in str(told)
    items = as_json("recommend", blend, "--user", "user3", "--data", work / "log.csv")
    assert items
    assert run(["export", str(blend), "--format", "npz", "--out", str(tmp_path / "m.npz")]) == 0
    with np.load(tmp_path / "m.npz") as archive:
        assert {"0.weights", "1.network.decoder.out.weight"} <= set(archive)


@pytest.mark.parametrize("command", ["diagnose", "map"])
def test_what_needs_a_latent_space_says_so(command, blend, work, fails, tmp_path) -> None:
    out = ["--out", tmp_path / "m.png"] if command == "map" else []
    told = fails(command, blend, "--data", work / "split", *out)
    assert "blend" in told
    assert "no latent space" in told


def test_a_part_s_checkpoint_is_of_an_unfinished_run(work, fails, tmp_path) -> None:
    folder = tmp_path / "b.run" / "part-1"
    folder.mkdir(parents=True)
    (folder / NAME).touch()
    told = fails("train", "blend", "--data", work / "split", "--out", tmp_path / "b", "--quiet")
    assert "unfinished run: go on with --resume" in told
