"""A user's recommendations: stored, else folded in, else popular; and why."""

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from nearfar.store.sinks.parquet import ParquetRecommendations
from nearfar.web.setup import Setup, open_store
from tests.web.cases import Answering, bundles

DAY = date(2026, 3, 2)


def publish(folder: Path, day: date, version: str, items: list[str]) -> None:
    rows = pl.DataFrame(
        {"user": ["7"] * len(items), "rank": range(1, len(items) + 1), "item": items,
         "score": [1.0 / (n + 1) for n in range(len(items))]}
    )  # fmt: skip
    scored_at = datetime(2026, 3, 3, 2, tzinfo=UTC)
    with ParquetRecommendations(str(folder)).writing(day, version, scored_at=scored_at) as writer:
        writer.write(rows)


@pytest.fixture
def answering(tmp_path: Path) -> Answering:
    publish(tmp_path / "store", date(2026, 3, 1), "v1", ["109"])
    publish(tmp_path / "store", DAY, "v2", ["105", "101", "gone"])
    (tmp_path / "histories.csv").write_text("user,item\n8,102\n8,107\n7,100\n9,nix\n")
    store = open_store(str(tmp_path / "store"), "text")
    paths = bundles(tmp_path, "autoencoder", "item_item")
    histories = tmp_path / "histories.csv"
    return Answering(Setup(bundles=paths, threads=1, store=store, histories=histories))


def of(answering: Answering, user: str, **query) -> dict:
    response = answering.ask("GET", f"/v1/users/{user}/recommendations", params=query)
    assert response.status_code == 200, response.text
    return response.json()


def test_what_is_stored_comes_first(answering: Answering) -> None:
    body = of(answering, "7", k=2)
    assert (body["source"], body["date"], body["version"]) == ("stored", "2026-03-02", "v2")
    assert body["reason"] == "made before, for 2026-03-02, by version v2"
    assert body["scored_at"] == "2026-03-03T02:00:00+00:00"
    found = [(r["rank"], r["item"], r["title"]) for r in body["recommendations"]]
    assert found == [(1, "105", 'Film, "No" 5 (1905)'), (2, "101", 'Film, "No" 1 (1901)')]
    assert [r["title"] for r in of(answering, "7")["recommendations"]][2] is None


def test_then_the_stored_history(answering: Answering) -> None:
    body = of(answering, "8", k=4)
    assert (body["source"], body["model"]) == ("history", "autoencoder")
    assert body["reason"] == "nothing is stored for the user; folded in from the stored history"
    same = answering.post("/v1/recommend", {"items": [102, 107], "k": 4}).json()
    assert body["recommendations"] == same["recommendations"]


@pytest.mark.parametrize("user", ["9", "nobody", "%F0%9F%98%80", "a%00b"])
def test_then_what_is_popular(answering: Answering, user: str) -> None:
    body = of(answering, user, k=2)
    assert body["source"] == "popular"
    assert [r["item"] for r in body["recommendations"]] == [100, 101]


def test_a_model_asked_for_scores_now(answering: Answering) -> None:
    body = of(answering, "7", model="item_item")
    assert (body["source"], body["model"]) == ("history", "item_item")
    assert body["reason"].startswith("a model was asked for; folded in")


def test_a_store_that_fails_is_told_of_and_left_alone(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def down(*_):
        calls.append(1)
        raise OSError("password of the store")

    monkeypatch.setattr(ParquetRecommendations, "dates", down)

    async def twice(client):
        return [await client.get("/v1/users/7/recommendations") for _ in range(2)]

    for response in answering.run(twice):
        body = response.json()
        assert body["source"] == "history"
        assert body["reason"].startswith("the store cannot be read now; folded in")
        assert "password" not in response.text
    assert len(calls) == 1
    counted = answering.service.metrics.registry.get_sample_value("nearfar_store_failures_total")
    assert counted == 1


def test_a_database_is_a_store_too(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/recommendations.db", "integer")
    rows = pl.DataFrame({"user": [7], "rank": [1], "item": [103], "score": [0.5]})
    with store.writing(DAY, "v3") as writer:
        writer.write(rows)
    answering = Answering(Setup(bundles=bundles(tmp_path), threads=1, store=store))
    assert of(answering, "7")["recommendations"][0]["item"] == 103
    assert of(answering, "not-a-number")["source"] == "popular"
