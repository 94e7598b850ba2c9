"""Folders of histories, and what is told without Ray."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from nearfar.algorithms.blend import Blend
from nearfar.algorithms.ease import EASE
from nearfar.algorithms.multvae import MultVAE
from nearfar.bundle.bundle import Bundle
from nearfar.cli.main import run
from nearfar.cluster import fit as fitting
from nearfar.cluster.fit import fit
from nearfar.cluster.histories import describe_histories, open_histories, write_histories
from nearfar.cluster.score import ScoreRequest, score_histories
from nearfar.cluster.shared_model import SharedBundle
from nearfar.cluster.team import Team
from nearfar.cluster.training import Task
from nearfar.cluster.workers import Workers
from nearfar.core.errors import (
    ArtefactError,
    DataError,
    DivergedError,
    MissingExtraError,
    SettingsError,
)
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.train.run import Run


def test_stretches_are_the_users_in_order(
    clusters: tuple[Interactions, FoldIn], tmp_path: Path
) -> None:
    train, _ = clusters
    histories = write_histories(train, tmp_path, part_users=37)
    assert [p.n_users for p in histories.parts] == [37, 37, 37, 9]
    for n_workers in (1, 2, 5):
        found = [histories.read_range(w, n_workers) for w in range(n_workers)]
        whole = np.concatenate([part.toarray() for part in found])
        np.testing.assert_array_equal(whole, train.x.toarray())
    assert histories.item_counts.tolist() == train.item_counts.tolist()
    assert open_histories(tmp_path).fingerprint == histories.fingerprint


def test_users_without_items_keep_their_place(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"user": [7, 8, 9, 10], "items": [["b", "a", "b"], [], None, ["c"]]},
        schema_overrides={"items": pl.List(pl.String)},
    )
    frame.write_parquet(tmp_path / "part-0.parquet")
    histories = describe_histories(tmp_path)
    assert histories.items.ids.to_list() == ["a", "b", "c"]
    assert histories.item_counts.tolist() == [1, 1, 1]
    users, x = histories.parts[0].read(histories.items)
    assert users.to_list() == [7, 8, 9, 10]
    assert x.toarray().tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1]]


def test_a_folder_that_was_not_described_or_was_changed_is_refused(
    clusters: tuple[Interactions, FoldIn], tmp_path: Path
) -> None:
    with pytest.raises(ArtefactError, match=r"histories\.json does not exist"):
        open_histories(tmp_path)
    histories = write_histories(clusters[0], tmp_path / "h", part_users=60)
    histories.parts[1].path.write_bytes(b"no parquet")
    with pytest.raises(DataError, match="not a complete Parquet file"):
        histories.read_range(1, 2)
    histories.parts[1].path.unlink()
    with pytest.raises(ArtefactError, match="write it again"):
        open_histories(tmp_path / "h")


def test_a_model_put_together_again_shares_its_weights(
    clusters: tuple[Interactions, FoldIn],
) -> None:
    train, _ = clusters
    algorithm = MultVAE(n_latent=4, decoder_hidden=(6,), epochs=1)
    bundle = Bundle.of(algorithm.fit(train, run=Run(device="cpu")), algorithm, train)
    shared = SharedBundle.of(bundle)
    for array in shared.arrays.values():
        array.flags.writeable = False  # as in Ray's store
    again = shared.bundle()
    weight = again.model.network.decoder.out.weight  # pyright: ignore[reportAttributeAccessIssue]
    assert weight.data_ptr() == shared.arrays["network.decoder.out.weight"].ctypes.data
    np.testing.assert_array_equal(again.model.score(train.x), bundle.model.score(train.x))


def test_an_ensemble_put_together_again_shares_the_weights_of_its_parts(
    clusters: tuple[Interactions, FoldIn],
) -> None:
    train, _ = clusters
    network = MultVAE(n_latent=4, decoder_hidden=(6,), epochs=1)
    algorithm = Blend(parts=(EASE(l2=5.0), network))
    bundle = Bundle.of(algorithm.fit(train, run=Run(device="cpu")), algorithm, train)
    shared = SharedBundle.of(bundle)
    again = shared.bundle()
    part = again.model.parts[1]  # pyright: ignore[reportAttributeAccessIssue]
    array = shared.arrays["1.network.decoder.out.weight"]
    assert part.network.decoder.out.weight.data_ptr() == array.ctypes.data
    np.testing.assert_array_equal(again.model.score(train.x), bundle.model.score(train.x))


def test_without_ray_nothing_is_begun(
    clusters: tuple[Interactions, FoldIn], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "nearfar.core.extras.find_spec",
        lambda name: None if name == "ray" else found(name),
    )
    with pytest.raises(MissingExtraError, match=r"needs Ray.*nearfar\[cluster\]"):
        fit(MultVAE(), *clusters, run=Run(folder=tmp_path), workers=Workers())
    assert not list(tmp_path.iterdir())
    histories = write_histories(clusters[0], tmp_path / "h")
    with pytest.raises(MissingExtraError):
        score_histories(None, histories, None, request=ScoreRequest(), workers=Workers())  # pyright: ignore[reportArgumentType]


def test_why_a_worker_failed_is_told_and_not_tried_again(
    clusters: tuple[Interactions, FoldIn], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    histories = write_histories(clusters[0], tmp_path / "h")
    algorithm = MultVAE(n_latent=4, decoder_hidden=(), learning_rate=1e30, epochs=3)
    task = Task(algorithm, histories, None, tmp_path, 0, "float32", "cpu", 1e9, 0)
    monkeypatch.setattr("ray.get", lambda task: task)
    with pytest.raises(DivergedError):
        fitting.run_worker({"task": task})
    with pytest.raises(DivergedError, match="not finite"):
        fitting._raise_worker_error(tmp_path)
    assert fitting.run_worker({"task": task}) is None


def test_a_run_without_a_folder_and_wrong_workers_are_refused(
    clusters: tuple[Interactions, FoldIn],
) -> None:
    with pytest.raises(SettingsError, match="folder"):
        fit(MultVAE(), *clusters, run=Run(), workers=Workers())
    with pytest.raises(SettingsError, match="count is 0"):
        Workers(count=0)


def test_numbers_of_any_length_are_joined() -> None:
    team = Team(torch.device("cpu"))
    assert team.join(np.array([3, 4])).tolist() == [3, 4]
    assert team.run_on_first(lambda: {"a": [1, "ü"]}) == {"a": [1, "ü"]}


def test_the_command_says_that_ray_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "nearfar.core.extras.find_spec",
        lambda name: None if name == "ray" else found(name),
    )
    config = tmp_path / "p.toml"
    assert run(["pipeline", "init", str(config)]) == 0
    for command in ("train", "score", "run"):
        capsys.readouterr()
        assert run(["pipeline", command, "-c", str(config), "--workers", "2"]) == 1
        assert "pip install 'nearfar[cluster]'" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.toml"]
