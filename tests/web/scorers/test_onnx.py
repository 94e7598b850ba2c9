"""The ONNX scorer answers as the one of PyTorch does, and where there is no PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_array

from nearfar.bundle.exported import KIND, WEIGHTS
from nearfar.bundle.exports.onnx import Onnx
from nearfar.core.errors import ArtefactError, DataError, MissingExtraError
from nearfar.core.manifest import NAME, read_manifest, write_manifest
from nearfar.kernels.rows import Rows
from nearfar.web.scorers import onnx as onnx_module
from nearfar.web.scorers.bundle import BundleScorer
from nearfar.web.scorers.onnx import OnnxScorer, load_scorer
from tests.bundle.exports.cases import (
    N_ITEMS,
    assert_same_but_for_ties,
    make_bundle,
    some_histories,
)

KINDS = ("base", "iaf", "iaf-anchors", "autoencoder-anchors", "wmf", "projection", "item_item",
         "constant", "ensemble", "ensemble-anchors")  # fmt: skip


def both(kind: str, path: Path, **options: object) -> tuple[OnnxScorer, BundleScorer]:
    bundle = make_bundle(kind)
    Onnx(**options).write(bundle, path)  # pyright: ignore[reportArgumentType]
    return (
        load_scorer(path, version="7", threads=1),
        BundleScorer(bundle, version="7", threads=1),
    )


@pytest.mark.parametrize("form", ["sparse", "dense"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_answers_as_the_scorer_of_pytorch(kind, form, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(onnx_module, "MIN_BATCH", 7)  # several batches, the last one smaller
    monkeypatch.setattr(onnx_module, "BATCH_BYTES", 0)
    ours, theirs = both(kind, tmp_path / "x", input=form)
    histories = some_histories()
    scores = make_bundle(kind).model.score(histories)
    for exclude in (None, histories, some_histories()[::-1]):
        found, wanted = (s.top_k(histories, 12, exclude) for s in (ours, theirs))
        assert_same_but_for_ties(found, wanted, scores)
    assert ours.abilities == theirs.abilities
    assert ours.items == theirs.items
    assert ours.metadata == theirs.metadata
    assert ours.version == "7"
    np.testing.assert_array_equal(ours.popularity, theirs.popularity)
    asked = np.random.default_rng(0).integers(0, N_ITEMS, (histories.shape[0], 5))
    np.testing.assert_allclose(
        ours.scores_at(histories, asked), theirs.scores_at(histories, asked), rtol=1e-5, atol=1e-5
    )
    if "similar" in ours.abilities:
        rows, columns = np.array([3, 0, 59]), np.array([5, 3])
        for chosen in (None, columns):
            found, wanted = (s.similarities(rows, chosen) for s in (ours, theirs))
            np.testing.assert_allclose(found, wanted, atol=1e-6)
    if "latent" in ours.abilities:
        found, wanted = (s.latents(histories) for s in (ours, theirs))
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        network, rows = make_bundle(kind).model.network, Rows.from_csr(histories)
        draws = network.encoder.draw(network.corruption.clean(rows), None)
        np.testing.assert_allclose(wanted, draws.z.detach(), atol=1e-5)
        assert (theirs.anchors is not None) == (kind == "autoencoder-anchors")
    if theirs.anchors is None:
        assert ours.anchors is None
    else:
        np.testing.assert_array_equal(ours.anchors, theirs.anchors)


def test_an_export_of_old_goes_to_means_and_shows_anchors_among_them(tmp_path) -> None:
    """Exports that say nothing of anchors and latents have graphs to the means of q(z_0|x)."""
    Onnx().write(make_bundle("iaf-anchors"), tmp_path)
    content = read_manifest(tmp_path, KIND)
    assert content["model"].pop("anchors_among_latents") is False
    (tmp_path / NAME).unlink()
    write_manifest(tmp_path, {k: content[k] for k in ("model", "settings", "about")}, KIND)
    assert load_scorer(tmp_path, version="7", threads=1).anchors is not None


def test_what_a_model_cannot_do_is_told(tmp_path) -> None:
    scorer, _ = both("constant", tmp_path / "x")
    assert scorer.abilities == {"explain"}
    with pytest.raises(TypeError, match="no latent space"):
        scorer.latents(some_histories())
    with pytest.raises(TypeError, match="no item vectors"):
        scorer.similarities(np.array([0]))


def test_nobody_asks(tmp_path) -> None:
    scorer, _ = both("iaf", tmp_path / "x")
    nobody = csr_array((0, N_ITEMS), dtype=np.float32)
    assert scorer.top_k(nobody, 3).items.shape == (0, 3)
    assert scorer.latents(nobody).shape == (0, 5)
    assert scorer.scores_at(nobody, np.empty((0, 2), np.int64)).shape == (0, 2)


def test_a_fixed_k_is_the_most_there_can_be(tmp_path) -> None:
    scorer, other = both("base", tmp_path / "x", k=6)
    histories = some_histories()
    found = scorer.top_k(histories, 4, histories)
    np.testing.assert_array_equal(found.items, other.top_k(histories, 4, histories).items)
    with pytest.raises(DataError, match="at most 6"):
        scorer.top_k(histories, 7)
    with pytest.raises(DataError, match="k is 0"):
        scorer.top_k(histories, 0)


def test_histories_over_other_items_are_refused(tmp_path) -> None:
    scorer, _ = both("base", tmp_path / "x")
    with pytest.raises(DataError, match="over 61 items"):
        scorer.top_k(some_histories(3, 61), 4)


def test_a_graph_that_the_runtime_cannot_read(tmp_path, monkeypatch) -> None:
    both("constant", tmp_path / "x")
    monkeypatch.setattr("nearfar.bundle.exported.check_manifest_files", lambda *_: None)
    (tmp_path / "x" / "recommend.onnx").write_bytes(b"no graph")
    with pytest.raises(ArtefactError, match=r"cannot read .*recommend\.onnx"):
        load_scorer(tmp_path / "x", version="1", threads=1)


def test_without_the_runtime_it_says_what_to_install(tmp_path, monkeypatch) -> None:
    both("constant", tmp_path / "x")
    monkeypatch.setattr(onnx_module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"nearfar\[serve\]"):
        load_scorer(tmp_path / "x", version="1", threads=1)


WITHOUT_TORCH = """
import json, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "onnx"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""


def without_torch(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code where neither PyTorch nor ONNX can be imported."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_TORCH + code, *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_it_recommends_where_there_is_no_pytorch(tmp_path) -> None:
    _, scorer = both("iaf", tmp_path / "x")
    code = """
from pathlib import Path
import numpy as np
from scipy.sparse import csr_array
from nearfar.web.scorers.onnx import load_scorer

scorer = load_scorer(Path(sys.argv[1]), version="1", threads=1)
x = csr_array((np.ones(3, np.float32), [1, 5, 8], [0, 3]), shape=(1, len(scorer.items)))
found = scorer.top_k(x, 5, x).items[0]
assert not any(name.partition(".")[0] in ("torch", "onnx") for name in sys.modules)
print(json.dumps([scorer.items.ids[int(i)] for i in found]))
"""
    done = without_torch(code, tmp_path / "x")
    assert done.returncode == 0, done.stderr
    x = csr_array((np.ones(3, np.float32), [1, 5, 8], [0, 3]), shape=(1, N_ITEMS))
    wanted = scorer.top_k(x, 5, x).items[0]
    assert json.loads(done.stdout) == [scorer.items.ids[int(i)] for i in wanted]


@pytest.mark.parametrize("command", ["train", "recommend", "export", "reproduce", "report"])
def test_commands_that_need_pytorch_say_so_in_one_line(command) -> None:
    code = "from nearfar.cli.main import run; sys.exit(run(sys.argv[1:]))"
    done = without_torch(code, command, "--help")
    assert done.returncode == 1
    assert "pip install 'nearfar[torch]'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["data", "abtest"])
def test_commands_that_need_none_run(command) -> None:
    code = "from nearfar.cli.main import run; sys.exit(run(sys.argv[1:]))"
    done = without_torch(code, command, "--help")
    assert done.returncode == 0, done.stderr


def test_the_service_needs_no_pytorch_but_for_its_own_runtime(tmp_path) -> None:
    code = """
import importlib, pkgutil
import nearfar.web
for found in pkgutil.walk_packages(nearfar.web.__path__, "nearfar.web."):
    if found.name != "nearfar.web.scorers.bundle":
        importlib.import_module(found.name)
from nearfar.cli.main import run
sys.exit(run(["serve", "--bundle", sys.argv[1]]))
"""
    done = without_torch(code, tmp_path)
    assert done.returncode == 1
    assert "pip install 'nearfar[torch]'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_public_names_are_there_or_say_what_to_install() -> None:
    code = """
import nearfar
for name in nearfar.__all__:
    try:
        getattr(nearfar, name)
    except ImportError as error:
        assert "nearfar[torch]" in str(error), (name, error)
assert nearfar.read_log and nearfar.Vocabulary and nearfar.split_strong
"""
    done = without_torch(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["base", "wmf", "item_item"])
def test_tables_with_numbers_that_are_none_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    Onnx().write(make_bundle(kind), path)
    whole = load_file(path / WEIGHTS)
    floats = [name for name, table in whole.items() if table.dtype.kind == "f"]
    assert floats
    for number, name in enumerate(floats):
        table = whole[name].copy()
        table.reshape(-1)[table.size // 2] = (np.nan, np.inf, -np.inf)[number % 3]
        save_file({**whole, name: table}, path / WEIGHTS)
        manifest = read_manifest(path, KIND)
        content = {k: v for k, v in manifest.items() if k not in ("kind", "format", "files")}
        (path / NAME).unlink()
        write_manifest(path, content, KIND)
        with pytest.raises(ArtefactError, match="NaN or infinite") as caught:
            load_scorer(path, version="1", threads=1)
        assert f"{WEIGHTS}: {name} holds" in str(caught.value)
