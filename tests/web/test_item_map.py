"""The map of a model's items."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import save_bundle
from nearfar.bundle.similar import Similarity
from nearfar.core.vocabulary import Vocabulary
from nearfar.web import item_map
from nearfar.web.settings import ServiceSettings
from tests.bundle.cases import ABOUT, make_bundle, make_model
from tests.web.cases import Answering

GENRES = [[f"g{i // 2}", "z"] if i < 26 else [] for i in range(30)]


def service(folder: Path) -> Answering:
    details = pl.DataFrame({"genres": GENRES}, schema={"genres": pl.List(pl.String)})
    many = Bundle(make_model("autoencoder", 30), Vocabulary(range(30), details), ABOUT)
    paths = {
        "many": save_bundle(many, folder / "many"),
        "item_item": save_bundle(make_bundle("item_item"), folder / "item_item"),
        "untitled": save_bundle(make_bundle("autoencoder", titles=False), folder / "untitled"),
    }
    return Answering(ServiceSettings(bundles=paths, threads=1))


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Answering:
    return service(tmp_path_factory.mktemp("web"))


def test_items_lie_in_the_two_widest_directions_of_what_they_are_compared_by(
    answering: Answering,
) -> None:
    told = answering.ask("GET", "/v1/map/items").json()
    assert (told["projection"], told["n_items"]) == ("PCA", 30)
    assert [each["item"] for each in told["items"]] == list(range(30))
    xy = np.array([[each["x"], each["y"]] for each in told["items"]])
    vectors = Similarity(make_model("autoencoder", 30)).vectors
    assert vectors is not None
    centred = vectors - vectors.mean(0)
    _, values, directions = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    assert values[1] > values[2]
    np.testing.assert_allclose(np.abs(xy), np.abs(centred @ directions[:2].T), atol=1e-3)


def test_the_ten_most_frequent_first_genres_are_told(answering: Answering) -> None:
    told = answering.ask("GET", "/v1/map/items").json()
    assert told["groups"] == [f"g{i}" for i in range(10)]
    first = [genres[0] if genres else None for genres in GENRES]
    assert [each["group"] for each in told["items"]] == first


def test_items_without_genres_are_of_no_group(answering: Answering) -> None:
    told = answering.ask("GET", "/v1/map/items?model=untitled").json()
    assert told["groups"] == []
    assert {each["group"] for each in told["items"]} == {None}


def test_it_is_made_once_and_holds_the_most_popular(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_map, "MAX_ITEMS", 5)
    made = []
    fit = item_map.PCA.fit
    monkeypatch.setattr(
        item_map.PCA, "fit", lambda *given: made.append(given[1].shape) or fit(*given)
    )
    answering = service(tmp_path)
    assert made == []  # not before it is asked for
    told = [answering.ask("GET", "/v1/map/items").json() for _ in range(2)]
    assert told[0] == told[1]
    assert [shape[0] for shape in made] == [5]
    assert [each["item"] for each in told[0]["items"]] == [0, 1, 2, 3, 4]
    assert told[0]["n_items"] == 30


def test_a_model_without_item_vectors_has_none(
    answering: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = answering.ask("GET", "/v1/model").json()["models"]
    assert {m["name"]: m["item_map"] for m in models} == {
        "many": True, "item_item": False, "untitled": True,
    }  # fmt: skip
    answer = answering.ask("GET", "/v1/map/items?model=item_item")
    assert answer.status_code == 404
    assert answer.json()["type"].endswith(":no-map")
    assert "no item vectors" in answer.json()["detail"]
    monkeypatch.setattr(item_map, "find_spec", lambda name: None)
    answer = service(tmp_path).ask("GET", "/v1/map/items")
    assert answer.status_code == 404
    assert "nearfar[maps]" in answer.json()["detail"]
