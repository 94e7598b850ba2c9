"""An ONNX export recommends what the bundle recommends."""

from __future__ import annotations

import re
import runpy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest
import torch
from scipy.sparse import csr_array

from nearfar.bundle.bundle import Bundle, BundleMetadata
from nearfar.bundle.exported import read_exported
from nearfar.bundle.exports.export import PACKAGE, Export
from nearfar.bundle.exports.onnx import Onnx
from nearfar.bundle.folder import save_bundle
from nearfar.core import discovery
from nearfar.core.errors import ArtefactError, MissingExtraError, SettingsError
from nearfar.core.ranking import Ranking
from nearfar.models.autoencoder import Architecture, Autoencoder
from nearfar.models.item_item import ItemItem
from nearfar.vae.corruption.corruption import Corruption, Dropout, Mask
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.encoder import Encoder, EncoderNetwork, SparseLinear
from tests.bundle.exports.cases import (
    KINDS,
    N_ITEMS,
    assert_same_but_for_ties,
    make_bundle,
    make_model,
    some_histories,
)


def given(name: str, x: csr_array, form: str = "sparse") -> dict[str, np.ndarray]:
    if form == "dense":
        return {name: x.toarray() > 0}
    return {
        f"{name}_indices": x.indices.astype(np.int64),
        f"{name}_offsets": x.indptr[:-1].astype(np.int64),
    }


def ranked(path, histories, k, *, exclude=None, seen=True, form="sparse") -> Ranking:
    """What `recommend.onnx` gives, by ONNX Runtime alone."""
    session = onnxruntime.InferenceSession(path / "recommend.onnx")
    inputs = given("histories", histories, form) | {"exclude_seen": np.array(seen)}
    inputs |= given("exclude", csr_array(histories.shape) if exclude is None else exclude, form)
    if any(i.name == "k" for i in session.get_inputs()):
        inputs["k"] = np.array(k, np.int64)
    return Ranking(*session.run(["ids", "scores"], inputs))


@pytest.mark.parametrize("form", ["sparse", "dense"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_ranks_as_the_bundle_does(kind, form, tmp_path) -> None:
    """Also empty histories, a history of all items, and more places than candidates."""
    bundle, histories = make_bundle(kind), some_histories()
    Onnx(input=form).write(bundle, tmp_path / "x")
    for k in (1, 10, N_ITEMS, N_ITEMS + 5):
        wanted = bundle.model.top_k(histories, k)
        found = ranked(tmp_path / "x", histories, k, form=form)
        assert_same_but_for_ties(found, wanted, bundle.model.score(histories))
    assert (found.items[1] == -1).all()  # who met everything
    by_popularity = np.argsort(-bundle.model.popularity)
    assert found.items[0, :N_ITEMS].tolist() == by_popularity.tolist()


@pytest.mark.parametrize("form", ["sparse", "dense"])
def test_what_is_excluded_is_no_candidate(form, tmp_path) -> None:
    bundle, histories = make_bundle("base"), some_histories()
    excluded = some_histories(len(histories.indptr) - 1)[::-1]
    Onnx(input=form).write(bundle, tmp_path / "x")
    both = ranked(tmp_path / "x", histories, N_ITEMS, exclude=excluded, form=form)
    other = ranked(tmp_path / "x", histories, N_ITEMS, exclude=excluded, seen=False, form=form)
    everything = ranked(tmp_path / "x", histories, N_ITEMS, seen=False, form=form)
    for row in range(histories.shape[0]):
        seen, banned = set(histories[[row]].indices), set(excluded[[row]].indices)
        assert set(both.items[row]) - {-1} == set(range(N_ITEMS)) - seen - banned
        assert set(other.items[row]) - {-1} == set(range(N_ITEMS)) - banned
        assert set(everything.items[row]) == set(range(N_ITEMS))


def test_ties_go_to_the_lower_item(tmp_path) -> None:
    model = make_model("item_item")
    assert isinstance(model, ItemItem)
    model.weights = np.round(model.weights)  # whole numbers: every sum is exact
    bundle = Bundle(model, make_bundle("constant").items, BundleMetadata("x"))
    Onnx().write(bundle, tmp_path / "x")
    histories = some_histories()
    found, wanted = ranked(tmp_path / "x", histories, 30), model.top_k(histories, 30)
    np.testing.assert_array_equal(found.items, wanted.items)
    np.testing.assert_array_equal(found.scores, wanted.scores)


@pytest.mark.parametrize("k", [3, N_ITEMS + 2])
def test_k_can_be_fixed(k, tmp_path) -> None:
    bundle, histories = make_bundle("projection"), some_histories()
    Onnx(k=k).write(bundle, tmp_path / "x")
    session = onnxruntime.InferenceSession(tmp_path / "x" / "recommend.onnx")
    assert "k" not in {i.name for i in session.get_inputs()}
    assert [o.shape for o in session.get_outputs()] == [["batch", k], ["batch", k]]
    found = ranked(tmp_path / "x", histories, k)
    np.testing.assert_array_equal(found.items, bundle.model.top_k(histories, k).items)


@pytest.mark.parametrize("kind", ["base", "item_item", "wmf", "constant"])
def test_a_user_gets_the_same_alone_and_among_others(kind, tmp_path) -> None:
    bundle, histories = make_bundle(kind), some_histories(12)
    Onnx().write(bundle, tmp_path / "x")
    together = ranked(tmp_path / "x", histories, 5)
    for row in range(12):
        alone = ranked(tmp_path / "x", histories[[row]], 5)
        np.testing.assert_array_equal(alone.items[0], together.items[row])
        np.testing.assert_allclose(alone.scores[0], together.scores[row], rtol=1e-5)


def test_the_interface_is_as_documented(tmp_path) -> None:
    Onnx().write(make_bundle("base"), tmp_path / "sparse")
    Onnx(input="dense").write(make_bundle("base"), tmp_path / "dense")
    shapes = {}
    for form in ("sparse", "dense"):
        session = onnxruntime.InferenceSession(tmp_path / form / "recommend.onnx")
        shapes[form] = {i.name: (i.type, i.shape) for i in session.get_inputs()}
        assert {o.name: (o.type, o.shape) for o in session.get_outputs()} == {
            "ids": ("tensor(int64)", ["batch", "k"]),
            "scores": ("tensor(float)", ["batch", "k"]),
        }
    rest = {"exclude_seen": ("tensor(bool)", []), "k": ("tensor(int64)", [])}
    assert shapes["sparse"] == {
        "histories_indices": ("tensor(int64)", ["histories_entries"]),
        "histories_offsets": ("tensor(int64)", ["batch"]),
        "exclude_indices": ("tensor(int64)", ["exclude_entries"]),
        "exclude_offsets": ("tensor(int64)", ["batch"]),
        **rest,
    }
    dense = ("tensor(bool)", ["batch", N_ITEMS])
    assert shapes["dense"] == {"histories": dense, "exclude": dense, **rest}


@pytest.mark.parametrize("kind", ["iaf", "wmf", "item_item"])
def test_graphs_are_sound_and_small_and_their_weights_beside_them(kind, tmp_path) -> None:
    bundle = make_bundle(kind)
    Onnx().write(bundle, tmp_path / "x")
    for path in (tmp_path / "x").glob("*.onnx"):
        onnx.checker.check_model(path, full_check=True)
        proto = onnx.load(path, load_external_data=False)
        assert [(i.domain, i.version) for i in proto.opset_import] == [("", 18)]
        assert proto.ir_version == 8
        known = {p.key: p.value for p in proto.metadata_props}
        assert known["nearfar.items"] == bundle.items.fingerprint
        inline = [t for t in proto.graph.initializer if not t.external_data]
        assert max(np.prod(t.dims) for t in inline) <= 4
        produced = {o for n in proto.graph.node for o in n.output}
        assert not produced & {i.name for i in proto.graph.initializer}


@pytest.mark.parametrize("kind", ["iaf", "wmf"])
def test_the_same_bundle_gives_the_same_bytes(kind, tmp_path) -> None:
    Onnx().write(make_bundle(kind), tmp_path / "a")
    Onnx().write(make_bundle(kind), tmp_path / "b")
    files = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert files == sorted(p.name for p in (tmp_path / "b").iterdir())
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_export_is_replaced_and_nothing_else(tmp_path) -> None:
    Onnx().write(make_bundle("base"), tmp_path / "x")
    Onnx().write(make_bundle("constant"), tmp_path / "x")
    assert not (tmp_path / "x" / "latents.onnx").exists()
    save_bundle(make_bundle("constant"), tmp_path / "bundle")
    with pytest.raises(ArtefactError, match="exists"):
        Onnx().write(make_bundle("base"), tmp_path / "bundle")
    with pytest.raises(ArtefactError, match="is a bundle, not an ONNX export"):
        read_exported(tmp_path / "bundle")


def test_damage_is_noticed(tmp_path) -> None:
    Onnx().write(make_bundle("base"), tmp_path / "x")
    weights = tmp_path / "x" / "model.safetensors"
    blob = bytearray(weights.read_bytes())
    blob[-1] ^= 1
    weights.write_bytes(blob)
    with pytest.raises(ArtefactError, match=r"model\.safetensors is damaged"):
        read_exported(tmp_path / "x")


def test_what_stands_beside_the_graphs(tmp_path) -> None:
    bundle = make_bundle("autoencoder-anchors")
    Onnx(k=7).write(bundle, tmp_path / "x")
    read = read_exported(tmp_path / "x")
    assert read.items.frame().equals(bundle.items.frame())
    np.testing.assert_array_equal(read.popularity, bundle.model.popularity)
    np.testing.assert_array_equal(read.anchors, bundle.model.anchors)
    assert read.settings == {"input": "sparse", "k": 7}
    assert read.metadata["settings"] == {"l2": 1.0}
    assert "training" not in read.metadata
    assert read.model == {
        "kind": "autoencoder", "n_items": N_ITEMS, "n_train_users": 500,
        "anchors_among_latents": True,
    }  # fmt: skip


def test_weights_that_are_no_numbers_are_refused(tmp_path) -> None:
    bundle = make_bundle("item_item")
    bundle.model.weights[3, 4] = np.nan
    with pytest.raises(ArtefactError, match="weights holds numbers that are not finite"):
        Onnx().write(bundle, tmp_path / "x")
    assert not (tmp_path / "x").exists()


@dataclass(frozen=True)
class OtherMask(Mask):
    """May do what it likes to histories."""


@dataclass(frozen=True)
class OtherBase(Base):
    """May build what it likes.

    Args:
        compute: the latent of a network and a history.
    """

    compute: str = "known"

    def build(self, n_items, n_latent, rng):
        return OtherNetwork(self.compute, n_items, n_latent, rng)


class OtherNetwork(EncoderNetwork):
    def __init__(self, compute: str, n_items: int, n_latent: int, rng) -> None:
        super().__init__(n_items, 6, 12, n_latent, rng)
        self.compute = compute
        self.second = SparseLinear(n_items, 6, rng)

    def features(self, sums):
        return torch.relu(sums)

    def draw(self, history, noise):
        a, b = self.first(history), self.second(history)
        if self.compute == "unknown":
            a = torch.erfinv(a)
        elif self.compute == "in place":
            a += b
        elif self.compute == "across users":
            a = a.flip(0)
        elif self.compute == "users by users":
            a = a + (a @ a.T) @ a
        elif self.compute == "no weight":
            a = a + torch.ones(6)
        elif self.compute == "values":
            a = a * history.values.sum()
        b = b @ self.head.weight[:6, :6]
        h = 2 - torch.cat([self.features(a) / 3, torch.exp(-b) - a * b], 1)
        return self.gaussian(h).draw(noise)

    def forward(self, history):
        return self.draw(history, None).posterior


class OtherModel(ItemItem):
    """May score as it likes."""


@pytest.mark.parametrize(
    ("encoder", "corruption", "named"),
    [
        (Base((9,)), OtherMask(), "OtherMask is not nearfar's own"),
        (OtherBase(compute="unknown"), Mask(), "known for PyTorch's aten.erfinv"),
        (OtherBase(compute="in place"), Mask(), "changes a tensor in place"),
        (OtherBase(compute="across users"), Mask(), "known for PyTorch's aten.flip"),
        (OtherBase(compute="users by users"), Mask(), "known for PyTorch's aten.mm"),
        (OtherBase(compute="no weight"), Mask(), "known for PyTorch's aten.ones"),
        (OtherBase(compute="values"), Mask(), "reads 'values' of a history"),
    ],
)
def test_what_no_graph_is_known_of_is_refused(encoder, corruption, named, tmp_path) -> None:
    with pytest.raises(SettingsError, match=named):
        Onnx().write(bundle_of(encoder, corruption), tmp_path / "x")


def test_an_encoder_from_elsewhere_needs_nothing_more(tmp_path) -> None:
    bundle, histories = bundle_of(OtherBase(), Dropout()), some_histories()
    Onnx().write(bundle, tmp_path / "x")
    found = ranked(tmp_path / "x", histories, 10)
    assert_same_but_for_ties(
        found, bundle.model.top_k(histories, 10), bundle.model.score(histories)
    )


def bundle_of(encoder: Encoder, corruption: Corruption) -> Bundle:
    architecture = Architecture(N_ITEMS, 4, encoder, (7,), corruption)
    network = architecture.build(torch.Generator().manual_seed(0))
    model = Autoencoder(architecture, network, np.arange(N_ITEMS), 3)
    return Bundle(model, make_bundle("base").items, BundleMetadata("x"))


def test_a_model_from_elsewhere_is_refused(tmp_path) -> None:
    model = OtherModel(np.eye(N_ITEMS, dtype=np.float32), np.ones(N_ITEMS, np.int64), 3)
    with pytest.raises(SettingsError, match="OtherModel is not nearfar's own"):
        Onnx().write(Bundle(model, make_bundle("base").items, BundleMetadata("x")), tmp_path / "x")


def test_settings_are_checked() -> None:
    assert discovery.find(PACKAGE, Export, "onnx") is Onnx
    assert {"embeddings", "npz", "onnx"} <= set(discovery.discover(PACKAGE, Export))
    with pytest.raises(SettingsError, match="k is 0"):
        Onnx(k=0)
    with pytest.raises(SettingsError, match="unknown input 'csr'; known: dense, sparse"):
        Onnx(input="csr")  # pyright: ignore[reportArgumentType]


def test_without_onnx_it_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("nearfar.core.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"nearfar\[onnx\]"):
        Onnx().write(make_bundle("base"), tmp_path / "x")


def test_the_guide_s_lines_run(tmp_path, monkeypatch, capsys) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "guide" / "export.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    Onnx().write(make_bundle("base"), tmp_path / "EXPORT")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.py").write_text(code)
    found = runpy.run_path("lines.py")
    assert found["ids"].shape == (2, 10)
    assert "Film" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["base", "wmf", "item_item"])
def test_ten_thousand_histories(kind, tmp_path) -> None:
    """A catalogue of 2,000 items; on the way histories of none and of all."""
    n_items, n_users = 2_000, 10_000
    bundle = make_bundle(kind, n_items)
    rng = np.random.default_rng(1)
    counts = np.minimum(rng.geometric(1 / 30, n_users), n_items)
    counts[:3] = 0, n_items, n_items - 5
    indices = np.concatenate([np.sort(rng.choice(n_items, n, replace=False)) for n in counts])
    indptr = np.concatenate([[0], np.cumsum(counts)])
    shape = (n_users, n_items)
    histories = csr_array((np.ones(len(indices), np.float32), indices, indptr), shape=shape)
    Onnx().write(bundle, tmp_path / "x")
    differing = 0
    for start in range(0, n_users, 1_000):
        part = histories[start : start + 1_000]
        wanted, found = bundle.model.top_k(part, 20), ranked(tmp_path / "x", part, 20)
        differing += assert_same_but_for_ties(found, wanted, bundle.model.score(part))
    assert differing <= n_users * 20 / 1_000


@pytest.mark.parametrize("kind", ["base", "wmf", "projection", "item_item"])
def test_new_items_are_in_it(kind, tmp_path) -> None:
    bundle = make_bundle(kind)
    kinds = [["dry", "wet"][i % 2] for i in range(N_ITEMS)]
    features = pl.DataFrame(
        {"item": [*bundle.items.ids, "new", "newer"], "kind": [*kinds, "dry", "wet|dry"]}
    )
    wider = bundle.with_new_items(features)
    path = tmp_path / "export"
    Onnx().write(wider, path)
    x = some_histories(n_items=N_ITEMS + 2)
    assert x[:, N_ITEMS:].nnz
    found, expected = ranked(path, x, 10), wider.model.top_k(x, 10)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-4, atol=1e-4)
    assert (found.items == expected.items).mean() > 0.99
