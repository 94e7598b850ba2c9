"""Items that came into a bundle after its training, as the service shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.extended_catalogue import n_trained_items
from nearfar.bundle.folder import save_bundle
from nearfar.web.settings import ServiceSettings
from tests.bundle.cases import make_bundle
from tests.web.cases import Answering

NEW = pl.DataFrame(
    {"item": [900, 901], "title": ["Star Cadets", "Toy Parade"], "genres": ["Comedy", "Drama"]}
)


def extended(kind: str) -> Bundle:
    return make_bundle(kind).with_new_items(NEW, exposure=50.0)


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Answering:
    folder = tmp_path_factory.mktemp("web")
    paths = {k: save_bundle(extended(k), folder / k) for k in ("autoencoder", "item_item")}
    return Answering(ServiceSettings(bundles=paths, threads=1))


def flags(listed: list[dict[str, Any]]) -> dict[int, bool]:
    return {each["item"]: each["new"] for each in listed}


@pytest.mark.parametrize("model", ["autoencoder", "item_item"])
def test_a_new_item_is_found_picked_recommended_and_marked(
    answering: Answering, model: str
) -> None:
    found = answering.ask("GET", f"/v1/items?query=star&model={model}").json()["items"]
    assert found == [{"item": 900, "title": "Star Cadets", "new": True, "popularity": 0}]
    body = {"items": [900, 101], "k": 20, "model": model, "explain": True}
    told = answering.post("/v1/recommend", body).json()
    assert told["source"] == "history"
    assert flags(told["history"]) == {900: True, 101: False}
    listed = flags(told["recommendations"])
    assert listed == {**{100 + i: False for i in range(12) if i != 1}, 901: True}
    for each in told["recommendations"]:
        assert all(c["new"] == (c["item"] == 900) for c in each["because"])
        assert each["features"] == (["Drama"] if each["item"] == 901 else None)
    similar = answering.ask("GET", f"/v1/items/900/similar?k=20&model={model}").json()
    assert similar["item"]["new"] is True
    assert flags(similar["similar"])[901] is True
    assert flags(similar["similar"])[100] is False


def test_features_of_the_long_layout_are_named_in_explanations(tmp_path: Path) -> None:
    bundle = make_bundle("item_item")
    rows = [(item, "Comedy" if item % 2 else "Drama") for item in bundle.items.ids] + [
        (900, "Comedy"), (900, "Unseen"),
    ]  # fmt: skip
    features = pl.DataFrame(rows, schema=["item", "feature"], orient="row")
    path = save_bundle(bundle.with_new_items(features, exposure=50.0), tmp_path / "extended")
    answering = Answering(ServiceSettings(bundles={"m": path}, threads=1))
    told = answering.post("/v1/recommend", {"items": [101], "k": 20, "explain": True}).json()
    named = {r["item"]: r["features"] for r in told["recommendations"]}
    assert named[900] == ["Comedy"]
    assert named[100] is None


def test_a_new_item_alone_is_a_history(answering: Answering) -> None:
    told = answering.post("/v1/recommend", {"items": [901], "k": 3}).json()
    assert (told["source"], flags(told["history"])) == ("history", {901: True})


def test_new_items_are_on_the_map_of_items_behind_the_others(answering: Answering) -> None:
    told = answering.ask("GET", "/v1/map/items").json()
    assert told["n_items"] == 14
    assert [each["item"] for each in told["items"]][-2:] == [900, 901]
    assert flags(told["items"]) == {**{100 + i: False for i in range(12)}, 900: True, 901: True}


def test_items_of_two_extensions_are_all_new() -> None:
    once = extended("item_item")
    more = pl.DataFrame({"item": [902], "title": ["Later"], "genres": ["Drama"]})
    twice = once.with_new_items(more)
    assert twice.metadata.data["new_items"]["n_new"] == 1
    assert n_trained_items(twice.metadata.data, twice.n_items) == 12
    assert n_trained_items({}, 12) == 12
    # As bundles were written before they told how many items were trained on.
    assert n_trained_items({"new_items": {"n_new": 2}}, 14) == 12
