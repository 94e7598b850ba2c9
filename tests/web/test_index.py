"""A service with an index answers as one without, and its metrics tell how."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nearfar.bundle.folder import load_bundle
from nearfar.bundle.index_building import build_index
from nearfar.bundle.index_folder import save_index
from nearfar.core.errors import ArtefactError, NearfarError, SettingsError
from nearfar.web.scorers.bundle import load_scorer
from nearfar.web.scoring import ScoringRequest, score_batch
from nearfar.web.settings import ServiceSettings
from tests.bundle.cases import make_bundle
from tests.bundle.test_item_index import bundle_of, make
from tests.web.cases import Answering, brute_force, bundles

pytest.importorskip("faiss")
K = 5


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    return bundles(tmp_path, "autoencoder", "item_item")


@pytest.fixture
def index(paths: dict[str, Path], tmp_path: Path) -> Path:
    found = build_index(load_bundle(paths["autoencoder"]), k=K, force=True)
    return save_index(found, tmp_path / "index")


@pytest.fixture
def answering(paths: dict[str, Path], index: Path) -> Answering:
    return Answering(ServiceSettings(bundles=paths, indices=(index,), threads=1))


def counts(answering: Answering, model: str = "autoencoder") -> tuple[int, int]:
    """How many histories were ranked by the index, and over the whole catalogue."""
    value = answering.service.metrics.registry.get_sample_value
    return tuple(
        int(value("nearfar_index_histories_total", {"model": model, "way": way}) or 0)
        for way in ("index", "exact")
    )  # pyright: ignore[reportReturnType]


def items_of(response) -> list[int]:
    assert response.status_code == 200, response.text
    return [r["item"] for r in response.json()["recommendations"]]


def test_answers_are_those_of_the_model(answering: Answering, paths: dict[str, Path]) -> None:
    for model in paths:
        bundle = load_bundle(paths[model])
        for k in (1, K):
            body = {"items": [102, 107], "k": k, "model": model}
            expected = brute_force(bundle, [2, 7], k)
            assert items_of(answering.post("/v1/recommend", body)) == [100 + p for p in expected]
    assert counts(answering) == (2, 0)
    assert counts(answering, "item_item") == (0, 0), "it has no index"
    text = answering.ask("GET", "/metrics").text
    assert 'nearfar_index_histories_total{model="autoencoder",way="index"} 2.0' in text
    models = answering.ask("GET", "/v1/model").json()["models"]
    assert {m["name"]: m["index"] for m in models} == {"autoencoder": True, "item_item": False}


def test_what_the_index_cannot_rank_is_ranked_exactly(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Answering(ServiceSettings(bundles=dict(answering.service.settings.bundles), threads=1))
    longer = {"items": [102], "k": K + 1}
    diverse = {"items": [102, 104], "k": 3, "diversity": 0.5}
    for body in (longer, diverse):
        assert items_of(answering.post("/v1/recommend", body)) == items_of(
            plain.post("/v1/recommend", body)
        )
    assert counts(answering) == (0, 2)
    monkeypatch.setattr("nearfar.bundle.item_index.MIN_EXCLUDED", 6)
    allowed = {"items": [102], "k": 3, "allow": [103, 104]}
    assert set(items_of(answering.post("/v1/recommend", allowed))) == {103, 104}
    assert counts(answering) == (0, 3)
    denied = {"items": [102], "k": 3, "deny": [103, 104]}
    assert items_of(answering.post("/v1/recommend", denied)) == items_of(
        plain.post("/v1/recommend", denied)
    )
    assert counts(answering) == (1, 3)
    popular = items_of(answering.post("/v1/recommend", {"k": 3, "deny": [101]}))
    assert popular == [100, 102, 103]


def test_one_batch_is_ranked_both_ways(answering: Answering) -> None:
    plain = Answering(ServiceSettings(bundles=dict(answering.service.settings.bundles), threads=1))
    body = {"histories": [[102], [], [103, 104], [111]], "k": K}
    found, expected = (
        [[r["item"] for r in each["recommendations"]] for each in answer.json()["results"]]
        for answer in (a.post("/v1/recommend/batch", body) for a in (answering, plain))
    )
    assert found == expected
    assert counts(answering) == (4, 0)


def test_long_and_short_lists_in_one_batch(index: Path, paths: dict[str, Path]) -> None:
    scorer = load_scorer(paths["autoencoder"], version="1", threads=1, indices=[index])
    plain = load_scorer(paths["autoencoder"], version="1", threads=1)
    requests = [
        ScoringRequest(np.array([2, 7]), np.array([2, 7]), k) for k in (2, K + 3, 1, K, K + 1)
    ]
    found, expected = score_batch(scorer, requests), score_batch(plain, requests)
    assert [one.by_index for one in found] == [True, False, True, True, False]
    assert [one.by_index for one in expected] == [None] * 5
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.items.tolist() == theirs.items.tolist()
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-6)
    with pytest.raises(TypeError, match="without an index"):
        plain.top_k_by_index(None, 1, None)  # pyright: ignore[reportArgumentType]


def test_an_index_that_belongs_to_nothing_stops_the_start(
    paths: dict[str, Path], index: Path, tmp_path: Path
) -> None:
    other = save_index(build_index(bundle_of(make("linear folding")), k=3, force=True),
                       tmp_path / "other")  # fmt: skip

    def refused(told: str, error: type[NearfarError], **settings) -> None:
        with pytest.raises(error, match=told):
            Answering(ServiceSettings(threads=1, **settings))

    refused("other is the index of no bundle", ArtefactError, bundles=paths, indices=(index, other))
    refused("not a nearfar index", ArtefactError, bundles=paths, indices=(paths["item_item"],))
    only = {"item_item": paths["item_item"]}
    refused("index of no bundle that is served", ArtefactError, bundles=only, indices=(index,))
    refused("is named twice", SettingsError, bundles=paths, indices=(index, index))
    refused("one version of a registry", SettingsError, registry=tmp_path, indices=(index,))
    (index / "graph.faiss").write_bytes(b"no graph")
    refused("graph.faiss is damaged", ArtefactError, bundles=paths, indices=(index,))


def test_exports_take_no_index(tmp_path: Path, index: Path) -> None:
    pytest.importorskip("onnx")
    from nearfar.bundle.exports.export import export_bundle

    export_bundle(make_bundle("autoencoder"), tmp_path / "onnx")
    bundles = {"onnx": tmp_path / "onnx"}
    settings = ServiceSettings(bundles=bundles, runtime="onnx", indices=(index,), threads=1)
    with pytest.raises(SettingsError, match="by the runtime torch"):
        Answering(settings)
