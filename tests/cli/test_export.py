"""`nearfar export` from a bundle to files that others read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from nearfar.bundle.folder import load_bundle
from nearfar.web.scorers.onnx import load_scorer
from tests.bundle.exports.cases import assert_same_but_for_ties, some_histories


def test_an_onnx_export_recommends_as_the_bundle(work: Path, as_json, tmp_path: Path) -> None:
    found = as_json("export", work / "pia", "--out", tmp_path / "x", "--set", "input=dense")
    assert found["format"] == "onnx"
    assert found["settings"]["input"] == "dense"
    assert found["n_items"] == 30
    assert set(found["files"]) == {
        "items.parquet", "latents.onnx", "manifest.json", "model.safetensors", "recommend.onnx",
        "scores.onnx",
    }  # fmt: skip
    model, histories = load_bundle(work / "pia").model, some_histories(9, 30)
    scorer = load_scorer(tmp_path / "x", version="1", threads=1)
    assert_same_but_for_ties(
        scorer.top_k(histories, 5, histories), model.top_k(histories, 5), model.score(histories)
    )


def test_plain_arrays(work: Path, as_json, tmp_path: Path) -> None:
    out = tmp_path / "ease.npz"
    found = as_json("export", work / "ease", "--format", "npz", "--out", out)
    assert found["files"] == {"ease.npz": out.stat().st_size}
    with np.load(out) as archive:
        assert archive["weights"].shape == (30, 30)
        assert json.loads(archive["header.json"].tobytes())["about"]["algorithm"] == "ease"


def test_what_is_wrong_is_told(work: Path, fails, tmp_path: Path) -> None:
    out = tmp_path / "x"
    told = fails("export", work / "pop", "--format", "onx", "--out", out)
    assert "unknown export 'onx'; did you mean 'onnx'?" in told
    told = fails("export", work / "pop", "--set", "inputs=dense", "--out", out)
    assert "did you mean 'input'?" in told
    assert "input" in fails("export", work / "pop", "--set", "input=csr", "--out", out)
    assert "k is 0" in fails("export", work / "pop", "--set", "k=0", "--out", out)
    assert "is not a nearfar bundle" in fails("export", work / "split", "--out", out)
    assert "exists" in fails("export", work / "pop", "--out", work / "split")
    assert not out.exists()
