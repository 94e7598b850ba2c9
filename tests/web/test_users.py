"""A user's recommendations: stored, else folded in, else popular; and why."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from nearfar.abtest.assignment import Experiment
from nearfar.bundle.folder import save_bundle
from nearfar.core.errors import SettingsError
from nearfar.store.sinks.parquet import ParquetRecommendations
from nearfar.web.settings import ServiceSettings, open_store
from tests.bundle.cases import make_bundle
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
    return Answering(ServiceSettings(bundles=paths, threads=1, store=store, histories=histories))


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


@pytest.mark.parametrize("user", ["%207%20", "7%E2%80%8B"])
def test_a_user_is_the_same_however_the_id_is_written(answering: Answering, user: str) -> None:
    assert of(answering, user, k=2) == of(answering, "7", k=2)


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
    answering = Answering(ServiceSettings(bundles=bundles(tmp_path), threads=1, store=store))
    assert of(answering, "7")["recommendations"][0]["item"] == 103
    assert of(answering, "not-a-number")["source"] == "popular"


def of_arms(tmp_path: Path, *versions: str) -> tuple[Answering, Experiment]:
    """Two models of a registry as arms, and a day of rows for users 0 to 7 by some versions."""
    links = {}
    for name, version, kind in (
        ("control", "v1", "autoencoder"), ("treatment", "v2", "item_item"),
    ):  # fmt: skip
        folder = save_bundle(make_bundle(kind), tmp_path / "versions" / version / "bundle")
        links[name] = tmp_path / name
        links[name].symlink_to(folder)
    rows = pl.DataFrame(
        {"user": [str(u) for u in range(8) for _ in versions],
         "rank": [r + 1 for _ in range(8) for r in range(len(versions))],
         "item": [str(105 + r) for _ in range(8) for r in range(len(versions))],
         "score": [0.5] * 8 * len(versions), "model_version": list(versions) * 8}
    )  # fmt: skip
    with ParquetRecommendations(str(tmp_path / "store")).writing(DAY, "v1") as writer:
        writer.write(rows)
    (tmp_path / "histories.csv").write_text(
        "user,item\n" + "".join(f"{user},{100 + user}\n" for user in range(8))
    )
    experiment = Experiment("arms", arms=("control", "treatment"))
    settings = ServiceSettings(
        bundles=links, threads=1, store=open_store(str(tmp_path / "store"), "text"),
        histories=tmp_path / "histories.csv", experiment=experiment,
    )  # fmt: skip
    return Answering(settings), experiment


def test_arms_that_choose_the_model_get_only_its_stored_rows(tmp_path: Path) -> None:
    answering, experiment = of_arms(tmp_path, "v1")
    sources = set()
    for user in map(str, range(8)):
        response = answering.ask("GET", f"/v1/users/{user}/recommendations", params={"k": 3})
        body, arm = response.json(), experiment.arm_of(user)
        assert response.headers["x-nearfar-arm"] == body["arm"] == arm
        assert body["version"] == {"control": "v1", "treatment": "v2"}[arm]
        sources.add((arm, body["source"]))
        if arm == "treatment":
            asked = {"items": [100 + int(user)], "k": 3, "model": "treatment"}
            same = answering.post("/v1/recommend", asked).json()
            assert body["recommendations"] == same["recommendations"]
            assert body["model"] == "treatment"
            assert body["reason"] == (
                "what is stored is by another model than that of the user's arm, version v2; "
                "folded in from the stored history"
            )
    assert sources == {("control", "stored"), ("treatment", "history")}


def test_rows_of_several_versions_are_of_no_arm(tmp_path: Path) -> None:
    answering, _ = of_arms(tmp_path, "v1", "v2")
    for user in map(str, range(8)):
        assert of(answering, user)["source"] == "history"


def test_models_of_one_version_are_not_told_apart_by_stored_rows(tmp_path: Path) -> None:
    answering, _ = of_arms(tmp_path, "v1")
    twice = replace(answering.service.settings, bundles={
        "control": tmp_path / "control", "treatment": tmp_path / "versions" / "v1" / "bundle",
    })  # fmt: skip
    answering = Answering(twice)
    for user in map(str, range(8)):
        body = of(answering, user)
        assert body["source"] == "history"
        assert body["reason"].startswith("several models served are of version v1, so")


def test_an_answer_by_another_model_than_the_arms_is_of_no_arm(tmp_path: Path) -> None:
    answering, experiment = of_arms(tmp_path, "v1")
    for user in map(str, range(8)):
        arm = experiment.arm_of(user)
        for model in experiment.arms:
            path = f"/v1/users/{user}/recommendations"
            answers = [
                answering.ask("GET", path, params={"model": model}),
                answering.post("/v1/recommend", {"user": user, "model": model}),
            ]
            told = arm if model == arm else None
            assert [a.headers.get("x-nearfar-arm") for a in answers] == [told, told]
            assert [a.json()["arm"] for a in answers] == [told, told]


def test_arms_that_are_no_models_leave_the_store_as_it_is(tmp_path: Path) -> None:
    answering, _ = of_arms(tmp_path, "v1")
    plain = replace(answering.service.settings, experiment=Experiment("arms", arms=("a", "b")))
    answering = Answering(plain)
    bodies = [of(answering, user) for user in map(str, range(8))]
    assert {(b["source"], b["arm"]) for b in bodies} == {("stored", "a"), ("stored", "b")}


@pytest.mark.parametrize("arm", ["новый", "two\nlines", " ends "])
def test_arms_that_fit_no_header_are_refused_at_the_start(tmp_path: Path, arm: str) -> None:
    experiment = Experiment("arms", arms=("control", arm))
    with pytest.raises(SettingsError, match="X-Nearfar-Arm"):
        ServiceSettings(bundles=bundles(tmp_path), experiment=experiment)
