"""What is written beside a version's bundle, for those who serve it without PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.exports.export import Export
from nearfar.core.errors import ArtefactError, MissingExtraError, SettingsError
from nearfar.jobs.registry import Registry
from nearfar.jobs.train_weekly import train_weekly
from nearfar.web.scorers import bundle as torch_scorer
from nearfar.web.scorers import onnx as onnx_scorer
from tests.jobs.cases import pipeline_in, write_days

ONNX = {"exports": ["onnx"]}


class Fails(Export):
    def write(self, bundle: Bundle, path: Path) -> None:
        path.mkdir()
        raise ArtefactError("the disk is full")


def test_a_version_is_exported_before_it_appears(tmp_path: Path) -> None:
    last = write_days(tmp_path / "events", 42)
    name = train_weekly(pipeline_in(tmp_path, train=ONNX), last).version.name
    registry = Registry(tmp_path / "registry")
    folder = registry.folder / "versions" / name
    ours = onnx_scorer.load_scorer(folder / "onnx", version=name, threads=1)
    theirs = torch_scorer.load_scorer(folder / "bundle", version=name, threads=1)
    assert ours.items == theirs.items
    rng = np.random.default_rng(0)
    histories = csr_array((rng.random((9, len(ours.items))) < 0.2).astype(np.float32))
    found, expected = ours.top_k(histories, 5), theirs.top_k(histories, 5)
    np.testing.assert_array_equal(found.items, expected.items)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-4, atol=1e-5)
    with pytest.raises(ArtefactError, match="full"):
        registry.register(registry.bundle(name), "other", {}, {"onnx": Fails()})
    assert [p.name for p in (registry.folder / "versions").iterdir()] == [name]


def test_what_cannot_be_exported_is_told_of_before_any_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = write_days(tmp_path / "events", 42)
    with pytest.raises(SettingsError, match="exports"):
        pipeline_in(tmp_path, train={"exports": ["gguf"]})
    pipeline = pipeline_in(tmp_path, train=ONNX)
    monkeypatch.setattr("nearfar.core.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"nearfar\[onnx\]"):
        train_weekly(pipeline, last)
    assert Registry(pipeline.registry).unfinished() == []
