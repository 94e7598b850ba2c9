"""The benchmark's one part that may be measured alone."""

import json
from pathlib import Path

import pytest

from benchmarks import serve
from nearfar.core.files import write_json


@pytest.mark.slow
def test_the_start_without_pytorch_is_added_and_the_rest_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "N_ITEMS", 50)
    monkeypatch.setattr(serve, "import_seconds", lambda module: {"onnxruntime": 0.25}[module])
    write_json(tmp_path / "serve.json", {"latency": 1})
    found = serve.renew_startup_onnx(tmp_path / "serve.json")
    assert json.loads((tmp_path / "serve.json").read_text()) == {
        "latency": 1, "startup_onnx": found
    }  # fmt: skip
    assert found["import_onnxruntime_seconds"] == 0.25
    assert found["over_onnxruntime"] == found["seconds"] - 0.25 > 0
