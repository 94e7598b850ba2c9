"""Items found by what people type, and items alike."""

import numpy as np
import pytest

from nearfar.bundle.folder import save_bundle
from nearfar.web.settings import ServiceSettings
from tests.web.cases import Answering, bundles, film_bundle


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Answering:
    path = save_bundle(film_bundle(), tmp_path_factory.mktemp("web") / "films")
    return Answering(ServiceSettings(bundles={"films": path}, threads=1))


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("toy", "Toy Story (1995)"),
        ("toy sto", "Toy Story (1995)"),
        ("tpy story", "Toy Story (1995)"),
        ("godfater", "Godfather, The (1972)"),
        ("the godfather", "Godfather, The (1972)"),
        ("amelie", "Amélie (2001)"),
        ("wall e", "WALL·E (2008)"),
        ("fellowship", "Lord of the Rings, The: The Fellowship of the Ring (2001)"),
        ("lord of the ri", "Lord of the Rings, The: The Fellowship of the Ring (2001)"),
        ("Satr Wars", "Star Wars (1977)"),
        ("3", "Fargo (1996)"),
    ],
)
def test_found(films: Answering, typed: str, first: str) -> None:
    items = films.ask("GET", "/v1/items", params={"query": typed}).json()["items"]
    assert items[0]["title"] == first


@pytest.mark.parametrize("typed", ["", "   ", "?!", "xqzwv"])
def test_nothing_is_found_by_nonsense(films: Answering, typed: str) -> None:
    assert films.ask("GET", "/v1/items", params={"query": typed}).json()["items"] == []


def test_equals_come_by_popularity_and_no_more_than_asked_for(films: Answering) -> None:
    found = films.ask("GET", "/v1/items", params={"query": "hamlet", "limit": 1}).json()["items"]
    assert [i["item"] for i in found] == [8]


def test_a_title_of_two_items_is_asked_back(films: Answering) -> None:
    body = films.post("/v1/recommend", {"titles": ["Hamlet", "Heat"]}).json()
    assert [h["title"] for h in body["history"]] == ["Heat (1995)"]
    (unmatched,) = body["unmatched"]
    assert [c["item"] for c in unmatched["candidates"]] == [8, 11]


def test_similar_items_are_those_whose_anchors_point_the_same_way(films: Answering) -> None:
    anchors = film_bundle().model.anchors  # pyright: ignore
    centred = anchors - anchors.mean(0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    expected = np.argsort(-(unit @ unit[3]), kind="stable")[1:5] + 1
    body = films.ask("GET", "/v1/items/4/similar", params={"k": 4}).json()
    assert body["item"]["title"] == "Godfather, The (1972)"
    assert [s["item"] for s in body["similar"]] == expected.tolist()
    assert body["similar"][0]["similarity"] == pytest.approx(unit[expected[0] - 1] @ unit[3], 1e-4)


def test_an_unknown_item_is_a_problem(films: Answering) -> None:
    response = films.ask("GET", "/v1/items/99/similar")
    assert (response.status_code, response.json()["type"]) == (
        404, "urn:problem-type:nearfar:unknown-item"
    )  # fmt: skip


def test_in_an_item_item_model_by_what_one_adds_to_the_other(tmp_path) -> None:
    paths = bundles(tmp_path, "item_item", text=True)
    answering = Answering(ServiceSettings(bundles=paths, threads=1))
    scorer = answering.service.models.get(None).scorer
    body = answering.ask("GET", "/v1/items/i3/similar", params={"k": 11}).json()
    from nearfar.bundle.folder import load_bundle

    added = load_bundle(paths["item_item"]).model.weights[3].copy()  # pyright: ignore
    added[3] = -np.inf
    assert [s["item"] for s in body["similar"]] == [f"i{p}" for p in np.argsort(-added)[:11]]
    assert np.abs(scorer.similarities(np.arange(12))).max() == 1
