"""Every kind of damage is refused by name, and nothing foreign is run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys

import numpy as np
import pytest

from nearfar.bundle.folder import is_bundle, load_bundle, save_bundle
from nearfar.core.errors import ArtefactError, SettingsError
from nearfar.core.manifest import write_manifest
from nearfar.models.autoencoder import Architecture
from nearfar.models.constant import Constant
from tests.bundle.cases import ABOUT, make_bundle, make_items

FILES = ("model.safetensors", "items.parquet", "training.jsonl")


class Foreign(Constant):
    """A third party's kind of model."""


@pytest.fixture
def path(tmp_path):
    return save_bundle(make_bundle("autoencoder"), tmp_path / "b")


def forge(path, change) -> None:
    """Change the manifest as someone would who can compute checksums too."""
    file = path / "manifest.json"
    manifest = json.loads(file.read_text())
    del manifest["sha256"]
    change(manifest)
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    manifest["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    file.write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0, 0.5, -1])
def test_a_flipped_bit_is_found(path, name, where) -> None:
    content = bytearray((path / name).read_bytes())
    content[int(where * (len(content) - 1)) if where > 0 else where] ^= 4
    (path / name).write_bytes(content)
    with pytest.raises(ArtefactError, match=f"{name} is damaged: its checksum differs"):
        load_bundle(path)


def test_no_flipped_bit_of_the_manifest_changes_what_is_loaded(path) -> None:
    file = path / "manifest.json"
    whole = file.read_bytes()
    expected = json.loads(whole)
    for i in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[i] ^= 1
        file.write_bytes(broken)
        with contextlib.suppress(ArtefactError):
            load_bundle(path)
            assert json.loads(broken) == expected


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_named(path, name) -> None:
    content = (path / name).read_bytes()
    (path / name).write_bytes(content[:-1])
    with pytest.raises(ArtefactError, match=f"{name} is damaged: it has {len(content) - 1} bytes"):
        load_bundle(path)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(path, name) -> None:
    (path / name).unlink()
    with pytest.raises(ArtefactError, match=f"{name} is missing"):
        load_bundle(path)


def test_what_is_no_bundle_is_refused(tmp_path, path) -> None:
    with pytest.raises(ArtefactError, match="does not exist"):
        load_bundle(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "manifest.json").write_text('{"kind": "nearfar split"}')
    for name in ("empty", "file", "split"):
        assert not is_bundle(tmp_path / name)
        with pytest.raises(ArtefactError, match=f"{name} is not a nearfar bundle"):
            load_bundle(tmp_path / name)
    (tmp_path / "split" / "manifest.json").write_text('{"kind": "nearfar ONNX export"}')
    with pytest.raises(ArtefactError, match="give the bundle that it was made of"):
        load_bundle(tmp_path / "split")
    (path / "manifest.json").write_text("{")
    with pytest.raises(ArtefactError, match=r"manifest\.json is not JSON"):
        load_bundle(path)


def test_a_newer_format_asks_for_an_upgrade(path) -> None:
    file = path / "manifest.json"
    file.write_text(file.read_text().replace('"format": 1', '"format": 2'))
    message = r"written by a newer nearfar \(format 2; this one reads 1\); upgrade"
    with pytest.raises(ArtefactError, match=message):
        load_bundle(path)
    assert is_bundle(path)  # so that it may be overwritten
    file.write_text(file.read_text().replace('"format": 2', '"format": "x"'))
    with pytest.raises(ArtefactError, match="its format is 'x'"):
        load_bundle(path)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "..", "a/../b", "C:\\x"])
def test_a_path_out_of_the_folder_is_refused(path, name) -> None:
    (path.parent / "secret").write_text("x")
    forge(path, lambda m: m["files"].update({name: {"bytes": 1, "sha256": "x"}}))
    with pytest.raises(ArtefactError, match="not a plain file name"):
        load_bundle(path)


@pytest.mark.parametrize("name", FILES[:2])
def test_a_manifest_that_lists_too_little_is_refused(path, name) -> None:
    forge(path, lambda m: m["files"].pop(name))
    with pytest.raises(ArtefactError, match=f"lists no {name}"):
        load_bundle(path)
    forge(path, lambda m: m.update(files=[name]))
    with pytest.raises(ArtefactError, match="lists no files"):
        load_bundle(path)


def test_an_unknown_kind_is_named(path) -> None:
    forge(path, lambda m: m["model"].update(kind="autoencodr"))
    with pytest.raises(ArtefactError, match="unknown model 'autoencodr'; did you mean 'autoenc"):
        load_bundle(path)
    forge(path, lambda m: m["model"].update(kind=["a.b"]))
    with pytest.raises(ArtefactError, match="a name was expected"):
        load_bundle(path)


def test_an_unknown_encoder_is_named(path) -> None:
    forge(path, lambda m: m["model"]["description"].update(encoder={"kind": "unheard"}))
    with pytest.raises(ArtefactError, match="unknown encoder 'unheard'"):
        load_bundle(path)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"n_latent": 5_000_000}, "5000000; it must be at least 1 and at most 65536"),
        ({"decoder_hidden": [8, 5_000_000]}, "5000000; it must be at least 1 and at most 65536"),
        (
            {"encoder": {"kind": "iaf", "before": {"kind": "base", "hidden": [5_000_000]}}},
            "5000000; it must be at least 1 and at most 65536",
        ),
        ({"decoder_hidden": [60_000, 60_000]}, "the layer sizes need more weights than were saved"),
    ],
)
def test_absurd_widths_are_refused_before_anything_is_built(
    path, sizes: dict, told: str, monkeypatch
) -> None:
    monkeypatch.setattr(Architecture, "build", None)
    forge(path, lambda m: m["model"]["description"].update(sizes))
    with pytest.raises(ArtefactError, match=told):
        load_bundle(path)


def test_ids_and_model_must_be_of_one_size(tmp_path) -> None:
    path = save_bundle(make_bundle("item_item"), tmp_path / "b")
    make_items(11).frame().write_parquet(path / "items.parquet")
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").unlink()
    write_manifest(path, {k: manifest[k] for k in ("model", "about")})
    with pytest.raises(ArtefactError, match=r"has 12 items and items\.parquet holds 11 ids"):
        load_bundle(path)
    make_items().frame().write_parquet(path / "items.parquet")
    (path / "manifest.json").unlink()
    write_manifest(path, {k: manifest[k] for k in ("model", "about")})
    assert load_bundle(path).n_items == 12
    forge(path, lambda m: m["model"]["description"].update(n_items=13))
    with pytest.raises(ArtefactError, match="has 13 items"):
        load_bundle(path)


def test_a_manifest_without_its_parts_is_refused_in_one_line(path) -> None:
    for part in ("model", "about"):
        forge(path, lambda m, part=part: m.update({part: {}}))
        with pytest.raises(ArtefactError) as caught:
            load_bundle(path)
        assert "\n" not in str(caught.value)


HOSTILE = "hostile_module_of_a_bundle"
PLACES = {
    "model": lambda m: m["model"].update(kind=f"{HOSTILE}.Model"),
    "kind": lambda m: m["model"]["description"].update(encoder={"kind": f"{HOSTILE}.E"}),
    "bare": lambda m: m["model"]["description"].update(corruption=f"{HOSTILE}.C"),
    "list": lambda m: m["model"]["description"].update(encoder={"kind": [f"{HOSTILE}.E"]}),
    "deep": lambda m: m["model"]["description"]["encoder"].update(x=[{"kind": f"{HOSTILE}.E"}]),
}


@pytest.mark.parametrize("place", PLACES)
def test_no_dotted_path_is_imported_unless_trusted(path, place, tmp_path, monkeypatch) -> None:
    proof = tmp_path / "it-ran"
    code = f"import pathlib; pathlib.Path({str(proof)!r}).touch()\n"
    (tmp_path / f"{HOSTILE}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, HOSTILE, raising=False)
    forge(path, PLACES[place])
    with pytest.raises(ArtefactError, match=r"trust=True|a name was expected"):
        load_bundle(path)
    assert not proof.exists()
    assert HOSTILE not in sys.modules


def test_a_third_partys_model_loads_when_trusted(tmp_path) -> None:
    saved = type(make_bundle())(Foreign(np.arange(12), 5), make_items(), ABOUT)
    path = save_bundle(saved, tmp_path / "b")
    with pytest.raises(ArtefactError, match="from outside nearfar"):
        load_bundle(path)
    assert type(load_bundle(path, trust=True).model) is Foreign
    forge(path, lambda m: m["model"].update(kind="not_installed.Model"))
    with pytest.raises(ArtefactError, match="install the package"):
        load_bundle(path, trust=True)
    forge(path, lambda m: m["model"].update(kind="pathlib.Path"))
    with pytest.raises(ArtefactError, match="is not a Model"):
        load_bundle(path, trust=True)


def test_the_device_is_checked(path) -> None:
    with pytest.raises(SettingsError, match="device 'tpu'"):
        load_bundle(path, device="tpu")


@pytest.mark.parametrize(("trusted", "ran"), [("its_friend", False), (f"other, {HOSTILE}", True)])
def test_a_module_is_imported_where_the_environment_names_it(
    path, trusted, ran, tmp_path, monkeypatch
) -> None:
    (tmp_path / f"{HOSTILE}.py").write_text(
        "import pathlib\npathlib.Path(__file__ + 'x').touch()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, HOSTILE, raising=False)
    monkeypatch.setenv("NEARFAR_TRUST", trusted)
    forge(path, PLACES["model"])
    with pytest.raises(
        ArtefactError, match="install the package" if ran else f"NEARFAR_TRUST={HOSTILE}"
    ):
        load_bundle(path)
    assert (tmp_path / f"{HOSTILE}.pyx").exists() == ran
    sys.modules.pop(HOSTILE, None)
