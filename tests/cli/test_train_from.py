"""`nearfar train --from`: training goes on from the weights of a bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from nearfar.bundle.folder import load_bundle
from nearfar.cli.main import run

STILL = ["--set", "learning_rate=1e-12", "--set", "epochs=1"]


@pytest.fixture
def grown(work: Path, tmp_path: Path) -> Path:
    """The log a week later: an item is gone, another is new, and new users have come."""
    log = pl.read_csv(work / "log.csv").filter(pl.col("item_id") != 3)
    new = pl.DataFrame(
        [(f"new{user}", item, 5, 1_600_000_500) for user in range(20) for item in (0, 1, 2, 4, 99)],
        schema=log.schema, orient="row",
    )  # fmt: skip
    path = tmp_path / "grown.csv"
    pl.concat([new, log]).write_csv(path)
    return path


def test_weights_carry_over_by_item(work: Path, grown: Path, tmp_path: Path, capsys) -> None:
    """With steps of no length the known items' weights are the earlier ones; others are new."""
    out = tmp_path / "next"
    asked = ["train", "multvae", "--data", str(grown), "--from", str(work / "plain")]
    assert run([*asked, "--out", str(out), *STILL]) == 0
    told = capsys.readouterr().err
    assert "which knows 29 of 30 items" in told
    assert "may have been trained on some of these validation users" in told
    before, after = load_bundle(work / "plain"), load_bundle(out)
    assert after.metadata.settings["n_latent"] == 6, "the settings are the earlier ones"
    old, new = (
        {name: weight.numpy() for name, weight in bundle.model.network.state_dict().items()}
        for bundle in (before, after)
    )
    columns = np.asarray(before.items.index(after.items.ids))
    known = columns >= 0
    assert list(after.items.ids.filter(pl.Series(~known))) == [99]
    for name in old:
        if len(old[name]) == 30:
            np.testing.assert_allclose(new[name][known], old[name][columns[known]], atol=1e-6)
            assert np.isfinite(new[name][~known]).all()
        else:
            np.testing.assert_allclose(new[name], old[name], atol=1e-6)


def test_a_chain_of_trainings_keeps_one_start(work: Path, tmp_path: Path) -> None:
    asked = ["train", "multvae", "--data", str(work / "split"), "--quiet", *STILL]
    first, second = tmp_path / "first", tmp_path / "second"
    assert run([*asked, "--from", str(work / "plain"), "--out", str(first)]) == 0
    assert run([*asked, "--from", str(first), "--out", str(second)]) == 0
    own = load_bundle(work / "plain").metadata.settings["initialiser"]
    assert load_bundle(second).metadata.settings["initialiser"]["before"] == own
    assert not (tmp_path / "second.run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["recvae", "--from", "plain"], "use nearfar train multvae"),
        (["multvae", "--from", "plain", "--set", "n_latent=7"], "architecture (n_latent)"),
        (["ease", "--from", "ease"], "only an autoencoder can start from earlier weights"),
        (["multvae", "--from", "nowhere"], "nowhere does not exist"),
    ],
)
def test_what_cannot_go_on_is_refused(
    work: Path, tmp_path: Path, capsys, monkeypatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(work)
    asked = ["train", *arguments, "--data", "split", "--out", str(tmp_path / "out")]
    assert run(asked) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
