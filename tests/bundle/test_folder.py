"""A bundle on disk is the bundle in memory, written atomically."""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np
import pytest

from nearfar.algorithms.ease import EASE
from nearfar.bundle import folder as folder_module
from nearfar.bundle.bundle import Bundle, BundleMetadata, describe
from nearfar.bundle.folder import check_destination, is_bundle, load_bundle, save_bundle
from nearfar.core.errors import ArtefactError, DataError
from nearfar.train.history import EpochRecord, History
from tests.bundle.cases import ABOUT, KINDS, make_bundle, make_items, make_model, some_histories
from tests.conftest import interactions


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", [False, True])
def test_a_loaded_bundle_scores_to_the_bit(kind, text, tmp_path) -> None:
    saved = make_bundle(kind, text=text)
    path = save_bundle(saved, tmp_path / "out=1" / "b*[1]")
    loaded = load_bundle(path)
    histories = some_histories()
    np.testing.assert_array_equal(loaded.model.score(histories), saved.model.score(histories))
    assert type(loaded.model) is type(saved.model)
    assert loaded.model.n_train_users == 50
    np.testing.assert_array_equal(loaded.model.popularity, saved.model.popularity)
    assert loaded.items == saved.items
    assert loaded.items.frame().equals(saved.items.frame())
    assert loaded.metadata == ABOUT
    assert is_bundle(path)


def test_anchors_survive(tmp_path) -> None:
    saved = make_bundle("autoencoder")
    loaded = load_bundle(save_bundle(saved, tmp_path / "b"), device="auto")
    np.testing.assert_array_equal(loaded.model.anchors, saved.model.anchors)
    assert loaded.model.architecture == saved.model.architecture


def test_weights_in_fortran_order_survive(tmp_path) -> None:
    saved = make_bundle("item_item")
    saved.model.weights = np.asfortranarray(saved.model.weights)
    loaded = load_bundle(save_bundle(saved, tmp_path / "b"))
    np.testing.assert_array_equal(loaded.model.weights, saved.model.weights)


def test_saving_a_loaded_bundle_again_gives_the_same_bytes(tmp_path) -> None:
    first = save_bundle(make_bundle("autoencoder"), tmp_path / "a")
    second = save_bundle(load_bundle(first), tmp_path / "b")
    for file in first.iterdir():
        assert file.read_bytes() == (second / file.name).read_bytes()


def test_without_epochs_there_is_no_file_of_them(tmp_path) -> None:
    saved = Bundle(make_model("constant"), make_items(titles=False), BundleMetadata("popularity"))
    path = save_bundle(saved, tmp_path / "b")
    names = {p.name for p in path.iterdir()}
    assert names == {"manifest.json", "model.safetensors", "items.parquet"}
    assert load_bundle(path).metadata == BundleMetadata("popularity")
    assert load_bundle(path).items.titles is None


@pytest.mark.parametrize("step", ["save_file", "write_manifest"])
def test_an_interrupted_save_leaves_the_old_bundle(step, tmp_path, monkeypatch) -> None:
    path = save_bundle(make_bundle("constant"), tmp_path / "b")
    before = {p.name: p.read_bytes() for p in path.iterdir()}

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder_module, step, stop)
    with pytest.raises(KeyboardInterrupt):
        save_bundle(make_bundle("item_item"), path)
    assert {p.name: p.read_bytes() for p in path.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_a_bundle_is_replaced_and_nothing_else_is(tmp_path) -> None:
    path = save_bundle(make_bundle("constant"), tmp_path / "b")
    save_bundle(make_bundle("item_item"), path)
    assert type(load_bundle(path).model).__name__ == "ItemItem"
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    save_bundle(make_bundle("constant"), foreign)  # an empty folder is nobody's
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("other", "file"):
        with pytest.raises(ArtefactError, match="is not a nearfar bundle"):
            save_bundle(make_bundle("constant"), tmp_path / name)
        with pytest.raises(ArtefactError, match=f"{name} exists"):
            check_destination(tmp_path / name)
    with pytest.raises(ArtefactError, match="cannot be created"):
        check_destination(tmp_path / "file" / "below")
    check_destination(path)
    check_destination(tmp_path / "new" / "deep")
    assert (tmp_path / "other" / "thesis.tex").read_text() == "x"


def test_a_local_class_is_refused_when_saving(tmp_path) -> None:
    class Mine(type(make_model("constant"))):
        pass

    model = make_model("constant")
    mine = Bundle(Mine(model.popularity, 1), make_items(), ABOUT)
    with pytest.raises(ArtefactError, match="cannot be loaded again"):
        save_bundle(mine, tmp_path / "b")


def test_a_bundle_needs_an_id_an_item() -> None:
    with pytest.raises(DataError, match="scores 12 items and there are 11 ids"):
        Bundle(make_model("constant"), make_items(11), ABOUT)


def test_describe_says_where_a_model_comes_from() -> None:
    train = interactions(np.eye(6))
    record = EpochRecord(0, 1, 2.0, {"kl": np.float32(1)}, {}, 0, {}, True, 1.0, 0.0, 9.0)
    metadata = describe(
        EASE(l2=3.0),
        train,
        seed=4,
        protocol={"kind": "strong", "log": "ml-1m"},
        metrics={"validation": {"recall@20": float("nan"), "n": np.int64(3)}},
        history=History([record]),
    )
    assert (metadata.algorithm, metadata.settings, metadata.seed) == (
        "ease",
        {"l2": 3.0, "user_exponent": 0.25},
        4,
    )
    assert metadata.data["fingerprint"] == train.fingerprint
    assert metadata.data["name"] == "ml-1m"
    assert metadata.data["protocol"]["kind"] == "strong"
    assert (
        metadata.data["n_users"],
        metadata.data["n_items"],
        metadata.data["n_interactions"],
    ) == (6, 6, 6)
    assert metadata.metrics == {"validation": {"recall@20": None, "n": 3}}
    assert metadata.training[0]["terms"] == {"kl": 1.0}
    assert set(metadata.versions) == {"nearfar", "python", "torch", "numpy", "scipy", "polars"}
    assert datetime.fromisoformat(metadata.created).utcoffset().total_seconds() == 0
    assert (
        BundleMetadata.from_dict(json.loads(json.dumps(metadata.to_dict(), allow_nan=False)))
        == metadata
    )
    model = EASE(l2=3.0).fit(train)
    assert Bundle.of(model, EASE(l2=3.0), train).items == train.item_ids
