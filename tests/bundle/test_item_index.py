"""The index proposes, the model ranks: rankings are those of the whole catalogue."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from nearfar.bundle import index_building
from nearfar.bundle.bundle import Bundle
from nearfar.bundle.history_file import HistoryChunk
from nearfar.bundle.index_building import build_index, recalls
from nearfar.bundle.index_folder import load_index, save_index
from nearfar.bundle.item_graph import (
    BLOCK_ITEMS,
    EuclideanTransform,
    build_graph,
    fingerprint,
    search,
)
from nearfar.bundle.item_index import ItemIndex
from nearfar.bundle.recommend import recommend, recommend_to_file
from nearfar.core.errors import (
    ArtefactError,
    DataError,
    MissingExtraError,
    NearfarError,
    SettingsError,
)
from nearfar.core.files import digest
from nearfar.core.ranking import Ranking
from nearfar.core.vocabulary import Vocabulary
from nearfar.models.autoencoder import Architecture, Autoencoder
from nearfar.models.factors import Factors, LeastSquaresFolding, LinearFolding
from nearfar.models.inner_products import InnerProducts
from nearfar.models.least_squares import Confidence
from nearfar.models.model import Model
from nearfar.vae.corruption.corruption import Mask
from nearfar.vae.encoders.base import Base
from tests.bundle.cases import ABOUT, make_bundle

faiss = pytest.importorskip("faiss")

N_ITEMS, K = 400, 12


def autoencoder(rng: np.random.Generator, decoder_hidden: tuple[int, ...]) -> Autoencoder:
    architecture = Architecture(N_ITEMS, 6, Base(hidden=(8,)), decoder_hidden, Mask(keep_prob=0.7))
    network = architecture.build(torch.Generator().manual_seed(1))
    with torch.no_grad():
        # of a trained model's size, so that a bias rules nothing alone
        network.decoder.out.weight.normal_(generator=torch.Generator().manual_seed(2))
        network.decoder.out.bias.copy_(torch.from_numpy(rng.normal(size=N_ITEMS)))
    return Autoencoder(architecture, network, popularity(), 300)


def popularity() -> np.ndarray:
    """Falls with the position, with ties; the last fifty items were never trained on."""
    found = np.arange(N_ITEMS, 0, -1) // 3
    found[-50:] = 0
    return found


def factors(rng: np.random.Generator, *, folding: str, whole: bool = False) -> Factors:
    """A factor model; of whole numbers, so that ties are exact, and with doubled items."""
    draw = (lambda *n: rng.integers(-2, 3, n)) if whole else (lambda *n: rng.normal(size=n))
    items = draw(N_ITEMS, 5).astype(np.float32)
    bias = draw(N_ITEMS).astype(np.float32)
    if whole:
        items[200:300], bias[200:300] = items[:100], bias[:100]
    items[-50:], bias[-25:] = 0, 0  # never trained on: the bias alone, or nothing
    if folding == "linear":
        offset = draw(5).astype(np.float32)
        way = LinearFolding(draw(N_ITEMS, 5).astype(np.float32), offset)
    else:
        way = LeastSquaresFolding(items, Confidence(0.1, 1.0, 0.0))
    return Factors(items, bias, way, popularity(), 300)


def below_zero(rng: np.random.Generator) -> Factors:
    model = factors(rng, folding="linear", whole=True)
    model.item_bias -= 1000
    return model


MODELS = {
    "decoder with a hidden layer": lambda rng: autoencoder(rng, (7,)),
    "linear decoder": lambda rng: autoencoder(rng, ()),
    "linear folding": lambda rng: factors(rng, folding="linear"),
    "least squares": lambda rng: factors(rng, folding="least_squares"),
    "ties and doubles": lambda rng: factors(rng, folding="linear", whole=True),
    "negative scores": below_zero,
}


WHOLE = {"ties and doubles", "negative scores"}
"""Sums of whole numbers are exact in any order, so that scores are equal on every processor."""


def make(kind: str) -> Model:
    return MODELS[kind](np.random.default_rng(3))


def histories(n_users: int = 70) -> csr_array:
    """Of 0 to 60 items; the first is empty."""
    rng = np.random.default_rng(4)
    dense = (rng.random((n_users, N_ITEMS)) < rng.uniform(0.002, 0.15, (n_users, 1))).astype("f4")
    dense[0] = 0
    return csr_array(dense)


def whole_graph(model: Model, k: int = K) -> ItemIndex:
    """An index whose effort is so high that it misses nothing."""
    metadata = {"built_for": {"algorithm": "wmf", "created": "2026", "n_items": N_ITEMS}}
    return ItemIndex(model, build_graph(model), k, N_ITEMS, fingerprint(model), metadata)


def assert_equal(found: Ranking, expected: Ranking, kind: str = "") -> None:
    np.testing.assert_array_equal(found.items, expected.items)
    rtol = 0.0 if kind in WHOLE else 1e-5
    np.testing.assert_allclose(found.scores, expected.scores, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("kind", MODELS)
def test_rankings_are_those_of_the_whole_catalogue(kind: str) -> None:
    model, x = make(kind), histories()
    index = whole_graph(model)
    for k in (1, 5, K):
        found, exactly = index.top_k(x, k)
        assert not exactly.any(), "the graph missed items, and nothing was tested"
        assert_equal(found, model.top_k(x, k), kind)
    found, exactly = index.top_k(x, K, exclude_seen=False)
    assert not exactly.any()
    assert_equal(found, model.top_k(x, K, exclude_seen=False), kind)
    one, exactly = index.top_k(x[[7]], K)
    assert not exactly.any()
    assert_equal(one, model.top_k(x[[7]], K), kind)
    if kind in WHOLE:
        ties = found.scores[:, 1:] == found.scores[:, :-1]
        assert ties.any(1).mean() > 0.5, "no ties, and their order was not tested"


@pytest.mark.parametrize("kind", MODELS)
def test_denied_and_excluded_items_stay_out(kind: str) -> None:
    model, x = make(kind), histories()
    index = whole_graph(model)
    best = model.top_k(x, 5).items
    deny = np.unique(best[:, 0])[:20][::-1]  # in no order
    found, exactly = index.top_k(x, K, deny=deny)
    assert not exactly.any()
    assert_equal(found, model.top_k(x, K, deny=deny), kind)
    rows = np.repeat(np.arange(len(best)), 5)
    exclude = csr_array((np.ones(rows.size), (rows, best.ravel())), shape=x.shape)
    found, _ = index.top_k(x, K, exclude=exclude)
    assert_equal(found, model.top_k(x, K, exclude=exclude), kind)
    assert not (found.items[:, :, None] == best[:, None]).any()


def test_what_the_index_cannot_rank_is_ranked_exactly() -> None:
    model, x = make("linear folding"), histories()
    index = whole_graph(model)
    found, exactly = index.top_k(x, K + 1)  # recall is not known of so many
    assert exactly.tolist() == [False] + [True] * (x.shape[0] - 1)
    assert_equal(found, model.top_k(x, K + 1))
    assert index.most_excluded == 100
    lengths = (100, 101, N_ITEMS)
    long = csr_array((np.arange(N_ITEMS) < np.array(lengths)[:, None]).astype(np.float32))
    found, exactly = index.top_k(long, K)
    assert exactly.tolist() == [False, True, True]
    assert_equal(found, model.top_k(long, K))
    assert (found.items[2] == -1).all(), "nothing is left"


def test_too_few_proposals_are_no_short_list(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = make("linear folding"), histories()
    index = whole_graph(model)

    def lame(*arguments) -> np.ndarray:
        found = search(*arguments)
        found[::2, 3:] = -1
        return found

    monkeypatch.setattr("nearfar.bundle.item_index.search", lame)
    found, exactly = index.top_k(x, K)
    assert exactly.any()
    assert not exactly.all()
    assert_equal(found, model.top_k(x, K))


def test_a_users_ranking_depends_on_nobody_else() -> None:
    model, x = make("linear folding"), histories()
    index = replace(whole_graph(model), effort=4)
    together, _ = index.top_k(x, K)
    for row in range(x.shape[0]):
        alone, _ = index.top_k(x[[row, row]], K)
        np.testing.assert_array_equal(alone.items[0], together.items[row])


@given(st.integers(0, 10_000), st.integers(1, 6), st.floats(0.01, 30))
@settings(deadline=None, max_examples=60)
def test_the_nearest_at_one_length_has_the_largest_product(
    seed: int, d: int, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    items = (rng.normal(size=(40, d)) * spread ** rng.normal(size=(40, 1))).astype(np.float32)
    users = rng.normal(size=(3, d)).astype(np.float32)
    transform = EuclideanTransform.of(items)
    stored = transform.items(items).astype(np.float64)
    asked = transform.users(users).astype(np.float64)
    np.testing.assert_allclose((stored**2).sum(1), transform.square, rtol=1e-5)
    distances = ((asked[:, None] - stored[None]) ** 2).sum(2)
    products = users.astype(np.float64) @ items.astype(np.float64).T
    for of_user, product in zip(distances, products, strict=True):
        # from the nearest to the farthest, products fall, but for what float32 rounds
        tolerance = 1e-4 * (1 + np.abs(product).max() + transform.square)
        assert (np.diff(product[np.argsort(of_user)]) <= tolerance).all()


def test_all_blocks_of_items_are_in_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    assert BLOCK_ITEMS > N_ITEMS
    monkeypatch.setattr("nearfar.bundle.item_graph.BLOCK_ITEMS", 150)
    model, x = make("linear folding"), histories()
    assert_equal(whole_graph(model).top_k(x, K)[0], model.top_k(x, K))


def test_scores_of_some_items_are_those_of_all() -> None:
    for kind in MODELS:
        model, x = make(kind), histories()[1:]
        products = InnerProducts.of(model)
        assert products is not None
        items = torch.from_numpy(np.random.default_rng(5).integers(0, N_ITEMS, (x.shape[0], 9)))
        found = products.scores_at(products.hidden(x), items).numpy()
        expected = np.take_along_axis(model.score(x), items.numpy(), 1)
        rtol = 0.0 if kind in WHOLE else 1e-5
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol)


def bundle_of(model: Model) -> Bundle:
    return Bundle(model, Vocabulary([f"i{n}" for n in range(model.n_items)]), ABOUT)


def test_effort_is_raised_until_the_recall_is_reached() -> None:
    bundle, x, lines = bundle_of(make("linear folding")), histories(), []
    index = build_index(bundle, x, k=K, recall=0.9, force=True, progress=lines.append)
    efforts = [line for line in lines if line.startswith("effort")]
    recall = index.metadata["recall"]
    assert recall["low"] >= 0.9
    assert recall["low"] <= recall["mean"] <= recall["high"] <= 1
    assert efforts[-1].startswith(f"effort {index.effort:,}: recall@{K} of ")
    assert recall["n_histories"] == x.shape[0] - 1
    exact = bundle.model.top_k(x[1:], K)
    assert recalls(index.top_k(x[1:], K)[0], exact).mean() == recall["mean"]
    assert index.metadata["measured_on"] == "69 histories that were given"
    weak = replace(index, effort=1)
    assert recalls(weak.top_k(x[1:], K)[0], exact).mean() <= recall["mean"]
    for times in index.metadata["milliseconds"].values():
        assert min(times["exact"], times["index"]) > 0


def test_recall_is_the_share_of_the_exact_items() -> None:
    exact = Ranking(np.array([[1, 2, 3, 4], [5, 6, -1, -1], [-1] * 4]), np.zeros((3, 4)))
    found = Ranking(np.array([[4, 9, 2, 8], [6, 5, 7, 0], [1, 2, 3, 4]]), np.zeros((3, 4)))
    assert recalls(found, exact).tolist() == [0.5, 1.0, 1.0]


def test_without_histories_some_are_made_up_of_popular_items() -> None:
    model = make("linear folding")
    made = index_building._make_histories(model, 0)
    assert made.shape == (500, N_ITEMS)
    assert np.diff(made.indptr).min() >= 1
    counts = np.asarray(made.sum(0)).ravel()
    assert counts[-50:].sum() == 0, "nobody interacted with these"
    assert counts[:100].sum() > 2 * counts[200:300].sum()
    again = index_building._make_histories(model, 0)
    assert (made != again).nnz == 0
    index = build_index(bundle_of(model), k=3, force=True)
    assert index.metadata["measured_on"] == "500 histories made up of items drawn by popularity"
    model.popularity[:] = 0
    assert index_building._make_histories(model, 0).nnz


def test_an_index_that_does_not_pay_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, x = bundle_of(make("linear folding")), histories()
    times = {"exact": 1.0, "index": 2.0}
    monkeypatch.setattr(index_building, "milliseconds", lambda *_: times)
    with pytest.raises(SettingsError, match=r"does not pay here: recall@12 .* takes 2.00 ms"):
        build_index(bundle, x, k=K, recall=0.5)
    times["exact"] = 3.0
    assert build_index(bundle, x, k=K, recall=0.5).effort < N_ITEMS
    times["exact"] = 1e-9  # the first effort takes longer, and no larger one is tried
    lines: list[str] = []
    with pytest.raises(SettingsError, match=r"does not pay here: recall@12 .* is reached at"):
        build_index(bundle, x, k=K, recall=1.0, progress=lines.append)
    assert sum(line.startswith("effort") for line in lines) == 1
    long = csr_array((np.random.default_rng(0).random((9, N_ITEMS)) < 0.6).astype(np.float32))
    with pytest.raises(SettingsError, match="all 9 histories have more than 100 items"):
        build_index(bundle, long, k=K)


def test_wrong_settings_are_refused() -> None:
    bundle = bundle_of(make("linear folding"))
    for wrong, told in (
        ({"recall": 0.0}, "recall is 0.0; it must be above 0"),
        ({"recall": 99}, "recall is 99"),
        ({"k": 0}, "k is 0"),
        ({"recal": 1}, "did you mean 'recall'"),
    ):
        with pytest.raises(SettingsError, match=told):
            build_index(bundle, **wrong)
    with pytest.raises(DataError, match="no history has an item"):
        build_index(bundle, csr_array((3, N_ITEMS), dtype=np.float32))
    for kind in ("constant", "item_item"):
        with pytest.raises(
            SettingsError, match=r"not inner products .* recommend without an index"
        ):
            build_index(make_bundle(kind))
    broken = make("linear folding")
    broken.item_factors[3, 0] = np.nan
    with pytest.raises(ArtefactError, match="not finite"):
        build_graph(broken)


def test_without_faiss_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("nearfar.core.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"needs faiss.*nearfar\[index\]"):
        build_index(bundle_of(make("linear folding")))


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Bundle, Path]:
    bundle = bundle_of(make("linear folding"))
    return bundle, save_index(build_index(bundle, histories(), k=K, force=True), tmp_path / "x")


def test_an_index_comes_back_as_it_was(saved: tuple[Bundle, Path]) -> None:
    bundle, path = saved
    assert {p.name for p in path.iterdir()} == {"manifest.json", "graph.faiss"}
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["kind"] == "nearfar index"
    index = load_index(path, bundle)
    assert (index.k, index.effort) == (K, manifest["effort"])
    assert index.metadata["recall"] == manifest["recall"]
    built = build_index(bundle, histories(), k=K, force=True)
    assert_equal(index.top_k(histories(), K)[0], built.top_k(histories(), K)[0])
    save_index(index, path)  # in place of the one that stands there
    assert load_index(path, bundle).effort == index.effort


def test_damaged_foreign_and_stale_indices_are_refused(
    saved: tuple[Bundle, Path], tmp_path: Path
) -> None:
    bundle, path = saved

    def refused(told: str, bundle: Bundle = bundle, where: Path = path) -> None:
        with pytest.raises(NearfarError, match=told):
            load_index(where, bundle)

    refused("does not exist", where=tmp_path / "none")
    (tmp_path / "folder").mkdir()
    refused("is not a nearfar index.*nearfar index BUNDLE", where=tmp_path / "folder")
    refused("not inner products", make_bundle("item_item"))
    refused("index of another bundle .*ease of 400 items", bundle_of(make("ties and doubles")))
    stale = bundle_of(make("linear folding"))
    stale.model.item_bias[7] += 1  # as by training again, or new items' exposure
    refused("before it was trained again or extended; build it again", stale)
    with pytest.raises(DataError, match="index is of another bundle"):
        recommend(stale, histories(), index=load_index(path, bundle))
    (tmp_path / "folder" / "mine").write_text("x")
    index = load_index(path, bundle)
    with pytest.raises(ArtefactError, match="was not written by nearfar"):
        save_index(index, tmp_path / "folder")

    graph, manifest = path / "graph.faiss", path / "manifest.json"
    whole, text = graph.read_bytes(), manifest.read_text()
    graph.write_bytes(whole[:-1] + b"\0\1"[whole[-1] == 0 :][:1])
    refused("graph.faiss is damaged: its checksum differs; build it again")
    graph.write_bytes(whole[:-1])
    refused("is damaged: it has")
    graph.unlink()
    refused("graph.faiss is missing")
    graph.write_bytes(whole)
    manifest.write_text(text.replace('"effort": ', '"effort": 1'))
    refused("manifest.json is damaged: its checksum differs")
    manifest.write_text(text)
    forge(path, effort=0)
    refused("cannot be read .*effort 0")
    for made in (b"no graph", None):
        if made is None:
            faiss.write_index(faiss.IndexFlatL2(7), str(graph))
        else:
            graph.write_bytes(made)
        forge(path)
        refused("cannot be read|holds no graph of this bundle's items")


def forge(path: Path, **changed: int) -> None:
    """Make a manifest fit the files, with other values."""
    from nearfar.core.manifest import write_manifest

    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").unlink()
    content = {n: v for n, v in manifest.items() if n not in ("kind", "format", "files", "sha256")}
    write_manifest(path, content | changed, "nearfar index")
    assert digest(path / "graph.faiss")


def test_recommend_asks_the_index(saved: tuple[Bundle, Path], tmp_path: Path) -> None:
    bundle, path = saved
    x, index = histories(), replace(load_index(path, bundle), effort=N_ITEMS)
    plain, quick = recommend(bundle, x, k=5), recommend(bundle, x, k=5, index=index)
    assert_equal(quick, plain)
    assert (plain.n_by_index, quick.n_by_index) == (0, x.shape[0])
    deny = ["i3", "i9"]
    by_index = recommend(bundle, x, k=5, deny=deny, index=index)
    assert_equal(by_index, recommend(bundle, x, k=5, deny=deny))
    assert by_index.n_by_index == x.shape[0]
    seen = recommend(bundle, x, k=5, exclude_seen=False, index=index)
    assert_equal(seen, recommend(bundle, x, k=5, exclude_seen=False))
    allow = [f"i{n}" for n in range(50)]
    for exact in ({"allow": allow}, {"rerank": "mmr diversity=0.3"}):
        found = recommend(bundle, x, k=5, index=index, **exact)
        assert_equal(found, recommend(bundle, x, k=5, **exact))
        assert found.n_by_index == 0
    chunk = HistoryChunk(pl.Series("user", range(x.shape[0])), x, 0)
    written = {}
    for name, which in (("plain", None), ("index", index)):
        out = tmp_path / f"{name}.parquet"
        done = recommend_to_file(bundle, [chunk], out, k=5, index=which)
        written[name] = pl.read_parquet(out)
    assert written["plain"].equals(written["index"])
    assert done.n_by_index == x.shape[0]
    again = Bundle(make("linear folding"), bundle.items, ABOUT)
    assert_equal(recommend(again, x, k=5, index=index), plain)  # the same model, read twice
    with pytest.raises(DataError, match="k is 0"):
        recommend(bundle, x, k=0, index=index)
    with pytest.raises(DataError, match="the histories have 3 items"):
        recommend(bundle, csr_array((1, 3)), index=index)
