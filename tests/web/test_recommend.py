"""What is recommended is what the model says, within what the request allows."""

import asyncio

import numpy as np
import pytest

from nearfar.abtest.assignment import Experiment
from nearfar.bundle.folder import load_bundle
from nearfar.core.errors import SettingsError
from nearfar.web.settings import ServiceSettings
from tests.bundle.cases import N_ITEMS
from tests.web.cases import Answering, brute_force, bundles


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory):
    return bundles(tmp_path_factory.mktemp("web"), "autoencoder", "item_item", "constant")


@pytest.fixture(scope="module")
def answering(paths) -> Answering:
    return Answering(ServiceSettings(bundles=paths, threads=1))


def items_of(response) -> list[int]:
    assert response.status_code == 200, response.text
    return [r["item"] for r in response.json()["recommendations"]]


@pytest.mark.parametrize("kind", ["autoencoder", "item_item"])
def test_the_best_items_are_the_models(answering: Answering, paths, kind: str) -> None:
    response = answering.post("/v1/recommend", {"items": [102, 107], "k": 5, "model": kind})
    expected = brute_force(load_bundle(paths[kind]), [2, 7], 5)
    assert items_of(response) == [100 + p for p in expected]
    body = response.json()
    assert (body["model"], body["source"]) == (kind, "history")
    assert [h["item"] for h in body["history"]] == [102, 107]
    assert [r["rank"] for r in body["recommendations"]] == [1, 2, 3, 4, 5]


def test_ids_as_text_and_titles_name_the_same_history(answering: Answering) -> None:
    by_id = answering.post("/v1/recommend", {"items": [102]})
    by_text = answering.post("/v1/recommend", {"items": ["102"]})
    by_title = answering.post("/v1/recommend", {"titles": ['film, "NO" 2']})
    assert items_of(by_id) == items_of(by_text) == items_of(by_title)


def test_somebody_new_gets_what_is_popular(answering: Answering) -> None:
    body = answering.post("/v1/recommend", {"items": ["nothing known"], "k": 3}).json()
    assert [r["item"] for r in body["recommendations"]] == [100, 101, 102]
    assert (body["source"], body["unknown"]) == ("popular", ["nothing known"])


def test_titles_that_name_nothing_come_with_what_could_be_meant(answering: Answering) -> None:
    body = answering.post("/v1/recommend", {"titles": ["film no 2"]}).json()
    (unmatched,) = body["unmatched"]
    assert unmatched["title"] == "film no 2"
    assert 102 in [c["item"] for c in unmatched["candidates"]]


def test_exclusions_and_lists_hold(answering: Answering) -> None:
    def ask(**more):
        return set(items_of(answering.post("/v1/recommend", {"items": [100], "k": 12, **more})))

    everything = set(range(100, 100 + N_ITEMS))
    assert ask() == everything - {100}
    assert ask(exclude_seen=False) == everything
    assert ask(exclude=[105, "nix"]) == everything - {100, 105}
    assert ask(deny=[101, 102]) == everything - {100, 101, 102}
    assert ask(allow=[100, 103, 104]) == {103, 104}
    assert ask(allow=[103, 104, 105], deny=[104], exclude=[105]) == {103}


def test_what_one_request_excludes_the_next_in_the_batch_may_get(answering: Answering) -> None:
    bodies = [
        {"items": [100 + i], "deny": [100 + (i + 1) % N_ITEMS], "k": N_ITEMS, "model": m}
        for i in range(N_ITEMS)
        for m in ("autoencoder", "item_item")
    ]
    alone = [items_of(answering.post("/v1/recommend", b)) for b in bodies]

    async def together(client):
        return await asyncio.gather(*(client.post("/v1/recommend", json=b) for b in bodies))

    assert [items_of(r) for r in answering.run(together)] == alone
    counted = answering.service.metrics.registry.get_sample_value("nearfar_batch_users_sum")
    batches = answering.service.metrics.registry.get_sample_value("nearfar_batch_users_count")
    assert counted is not None
    assert batches is not None
    assert counted > 1.4 * batches


def test_a_batch_is_its_histories_one_by_one(answering: Answering) -> None:
    histories = [[100, 101], [], ["nix", 105], [103] * 3]
    batch = answering.post(
        "/v1/recommend/batch", {"histories": histories, "k": 4, "deny": [111]}
    ).json()
    assert [r["source"] for r in batch["results"]] == ["history", "popular", "history", "history"]
    assert [r["n_unknown"] for r in batch["results"]] == [0, 0, 1, 0]
    for history, result in zip(histories, batch["results"], strict=True):
        alone = answering.post("/v1/recommend", {"items": history, "k": 4, "deny": [111]}).json()
        assert [(r["rank"], r["item"], r["title"]) for r in result["recommendations"]] == [
            (r["rank"], r["item"], r["title"]) for r in alone["recommendations"]
        ]
        # Sums of another batch size are rounded another way.
        assert [r["score"] for r in result["recommendations"]] == pytest.approx(
            [r["score"] for r in alone["recommendations"]], rel=1e-5
        )


def test_explanations_in_an_item_item_model_are_its_weights(answering: Answering, paths) -> None:
    weights = load_bundle(paths["item_item"]).model.weights  # pyright: ignore
    history = [0, 4, 9]
    body = answering.post(
        "/v1/recommend",
        {"items": [100 + p for p in history], "k": 3, "explain": True, "model": "item_item"},
    ).json()
    for recommended in body["recommendations"]:
        # Without item i, x B falls by exactly B[i, recommended].
        fell = np.maximum(weights[history, recommended["item"] - 100], 0)
        told = {c["item"] - 100: c["share"] for c in recommended["because"]}
        expected = {p: f / fell.sum() for p, f in zip(history, fell, strict=True) if f > 0}
        assert told == pytest.approx(expected, abs=1e-3)
        assert list(told.values()) == sorted(told.values(), reverse=True)


def test_an_item_alone_carried_all_and_nobody_new_is_explained(answering: Answering) -> None:
    one = answering.post("/v1/recommend", {"items": [100], "explain": True, "k": 2}).json()
    for recommended in one["recommendations"]:
        assert [(c["item"], c["share"]) for c in recommended["because"]] == [(100, 1.0)]
    none = answering.post("/v1/recommend", {"explain": True, "k": 2}).json()
    assert [r["because"] for r in none["recommendations"]] == [[], []]


def test_the_slider_goes_from_the_likely_to_the_unlike(answering: Answering) -> None:
    body = {"items": [100, 101], "k": 4}
    orders = [
        items_of(answering.post("/v1/recommend", {**body, "diversity": d})) for d in (0, 0.5, 1)
    ]
    assert orders[0] == items_of(answering.post("/v1/recommend", body))
    assert orders[2] != orders[0]
    similarities = answering.service.models.get("autoencoder").scorer.similarities
    known = np.array([0, 1])
    likeness = [similarities(np.array(o) - 100, known).max(1).mean() for o in orders]
    assert likeness[2] < likeness[0]


def test_rules_of_the_service_hold_for_every_way_to_ask(paths, tmp_path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(
        "[[rule]]\nitem = 111\npin = 2\n[[rule]]\nitem = 103\nexclude = true\n"
        '[[rule]]\ngenre = "Drama"\nat_most = 1\n'
    )
    able = {name: path for name, path in paths.items() if name != "constant"}
    answering = Answering(ServiceSettings(bundles=able, threads=1, rules=rules, rerank="mmr"))
    drama = {102, 105, 108, 111}
    for model in ("autoencoder", "item_item"):
        body = {"items": [100, 101], "k": 5, "model": model}
        for more in ({}, {"diversity": 0.6}):
            listed = items_of(answering.post("/v1/recommend", {**body, **more}))
            assert listed[1] == 111
            assert 103 not in listed
            assert not (set(listed) - {111}) & drama
        batch = answering.post(
            "/v1/recommend/batch", {"histories": [[100, 101], [111]], "k": 5, "model": model}
        ).json()["results"]
        lists = [[r["item"] for r in result["recommendations"]] for result in batch]
        assert lists[0] == items_of(answering.post("/v1/recommend", body))
        assert 111 not in lists[1], "the person has it already"
    denied = answering.post("/v1/recommend", {"items": [100], "deny": [111], "k": 5})
    assert 111 not in items_of(denied)
    rules.write_text("[[rule]]\nitem = 111\n")
    with pytest.raises(SettingsError, match="line 1: it does nothing"):
        Answering(ServiceSettings(bundles=paths, threads=1, rules=rules))


def test_a_model_without_vectors_says_that_it_cannot(answering: Answering) -> None:
    response = answering.post("/v1/recommend", {"diversity": 0.5, "model": "constant"})
    assert response.status_code == 422
    assert response.json()["type"].endswith(":not-supported")


def test_arms_choose_among_models_called_like_them(paths) -> None:
    experiment = Experiment("slider", arms=("autoencoder", "item_item"))
    answering = Answering(ServiceSettings(bundles=paths, threads=1, experiment=experiment))
    seen = set()
    for user in range(8):
        response = answering.post("/v1/recommend", {"items": [100], "user": user})
        arm = experiment.arm_of(user)
        assert response.headers["x-nearfar-arm"] == response.json()["model"] == arm
        seen.add(arm)
    assert seen == set(experiment.arms)
    asked = answering.post("/v1/recommend", {"user": 1, "model": "constant"}).json()
    assert asked["model"] == "constant"
    assert "x-nearfar-arm" not in answering.post("/v1/recommend", {}).headers
    assert answering.ask("GET", "/v1/model").json()["experiment"]["chooses_model"]


def test_whole_numbers_may_be_written_with_a_point(answering: Answering) -> None:
    as_written = answering.post("/v1/recommend", {"items": [100.0, "101"], "k": 3.0})
    plain = answering.post("/v1/recommend", {"items": [100, 101], "k": 3})
    assert as_written.json() == plain.json()
    for body in ({"items": [100.5]}, {"k": True}, {"k": 1e30}, {"items": [1e300]}):
        assert answering.post("/v1/recommend", body).status_code == 422


def test_deep_and_huge_bodies_are_refused_as_invalid(answering: Answering) -> None:
    for text in ("[" * 500_000, '{"items": ' + "[" * 900 + "1.0" + "]" * 900 + "}"):
        answer = answering.ask(
            "POST", "/v1/recommend", content=text, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in (400, 422)


@pytest.mark.parametrize(
    ("path", "body", "pointer", "detail"),
    [
        ("recommend", {"itmes": [100]}, "/itmes", "there is no such field; did you mean 'items'?"),
        ("recommend/batch", {"histories": [[]], "deni": []}, "/deni",
         "there is no such field; did you mean 'deny'?"),
        ("map/point", {"titels": ["Heat"]}, "/titels",
         "there is no such field; did you mean 'titles'?"),
        ("recommend", {"zzz": 1}, "/zzz", "there is no such field; the fields are allow, "),
    ],
)  # fmt: skip
def test_a_misspelt_field_is_answered_with_the_nearest_name(
    answering: Answering, path: str, body: dict, pointer: str, detail: str
) -> None:
    response = answering.post(f"/v1/{path}", body)
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["pointer"] == pointer
    assert error["detail"].startswith(detail)
    assert error["detail"] in response.json()["detail"]
