"""Errors in one form, request ids, the token, limits; nothing leaks into answers or logs."""

import io
import json
import logging

import pytest

from nearfar.core.errors import SettingsError
from nearfar.web.logs import JsonLines, to_stream
from nearfar.web.settings import Limits, ServiceSettings, from_environment
from tests.web.cases import Answering, bundles

TOKEN = "a-token-of-some-length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory):
    return bundles(tmp_path_factory.mktemp("web"), "item_item")


@pytest.fixture(scope="module")
def answering(paths) -> Answering:
    return Answering(ServiceSettings(bundles=paths, threads=1, limits=Limits(body_bytes=2000)))


@pytest.fixture(scope="module")
def guarded(paths) -> Answering:
    origins = ("https://shop.example",)
    return Answering(ServiceSettings(bundles=paths, threads=1, token=TOKEN, origins=origins))


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "name"),
    [
        ("GET", "/nowhere", {}, 404, "not-found"),
        ("GET", "/v1/recommend", {}, 405, "method-not-allowed"),
        ("POST", "/v1/recommend", {"content": b"{", "headers": JSON}, 400, "bad-json"),
        ("POST", "/v1/recommend", {"content": b"\xff\xfe{}", "headers": JSON}, 400, "bad-json"),
        ("POST", "/v1/recommend", {"content": b"", "headers": JSON}, 400, "bad-json"),
        ("POST", "/v1/recommend", {"content": b"[" * 1500, "headers": JSON}, 400, "bad-json"),
        ("POST", "/v1/recommend", {"content": b"{}"}, 415, "not-json"),
        ("POST", "/v1/recommend", {"json": {"k": 0}}, 422, "invalid"),
        ("POST", "/v1/recommend", {"json": {"k": 10**30}}, 422, "invalid"),
        ("POST", "/v1/recommend", {"json": {"items": [True]}}, 422, "invalid"),
        ("POST", "/v1/recommend", {"json": {"itmes": []}}, 422, "invalid"),
        ("POST", "/v1/recommend", {"content": b'{"diversity": NaN}', "headers": JSON}, 422,
         "invalid"),
        ("POST", "/v1/recommend", {"json": {"allow": ["nix"]}}, 422, "nothing-allowed"),
        ("POST", "/v1/recommend", {"json": {"model": "other"}}, 404, "unknown-model"),
        ("POST", "/v1/recommend", {"json": {"titles": ["x" * 300] * 50}}, 413, "too-large"),
        ("POST", "/v1/recommend/batch", {"json": {"histories": []}}, 422, "invalid"),
        ("GET", "/v1/items", {}, 422, "invalid"),
        ("GET", "/v1/items?query=a&limit=999", {}, 422, "invalid"),
        ("GET", "/v1/items/x/similar", {}, 404, "unknown-item"),
        ("GET", "/v1/users/7/recommendations?k=0", {}, 422, "invalid"),
        ("GET", "/v1/map", {}, 404, "no-map"),
        ("POST", "/v1/map/point", {"json": {}}, 404, "no-map"),
    ],
)  # fmt: skip
def test_every_error_is_a_problem(
    answering: Answering, method: str, path: str, options: dict, status: int, name: str
) -> None:
    response = answering.ask(method, path, **options)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["type"] == f"urn:problem-type:nearfar:{name}"
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["detail"]


def test_errors_point_to_the_place_and_do_not_repeat_what_was_sent(answering: Answering) -> None:
    response = answering.post("/v1/recommend", {"items": [1, {"secret": "value"}], "k": 900})
    assert [e["pointer"] for e in response.json()["errors"]] == ["/items/1", "/k"]
    assert "value" not in response.text


def test_a_chunked_body_is_limited_too(answering: Answering) -> None:
    async def chunks():
        for _ in range(5):
            yield b" " * 500

    response = answering.ask("POST", "/v1/recommend", content=chunks(), headers=JSON)
    assert response.status_code == 413


def test_request_ids_are_kept_where_they_are_harmless(answering: Answering) -> None:
    def given(value: str) -> str:
        return answering.ask("GET", "/healthz", headers={"X-Request-Id": value}).headers[
            "x-request-id"
        ]

    assert given("abc-1.2_Z") == "abc-1.2_Z"
    for bad in ("a b", "x" * 65, 'a"b', ""):
        made = given(bad)
        assert made != bad
        assert len(made) == 32


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"},
     {"Authorization": "Bearer"}, {"Authorization": f"Bearer {TOKEN}x"}],
)  # fmt: skip
def test_the_token_is_asked_for(guarded: Answering, headers: dict) -> None:
    for path in ("/v1/model", "/v1/nowhere", "/metrics"):
        response = guarded.ask("GET", path, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in response.text
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert guarded.ask("GET", path, headers=headers).status_code == 200


def test_the_token_opens(guarded: Answering) -> None:
    assert guarded.ask("GET", "/v1/model", headers=BEARER).status_code == 200
    bearer = {"authorization": f"bearer {TOKEN}"}
    assert guarded.ask("GET", "/metrics", headers=bearer).status_code == 200


def test_pages_of_named_origins_may_ask(guarded: Answering) -> None:
    asking = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST",
              "Access-Control-Request-Headers": "authorization,content-type"}  # fmt: skip
    allowed = guarded.ask("OPTIONS", "/v1/recommend", headers=asking)
    assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
    refused = guarded.ask("OPTIONS", "/v1/recommend", headers={**asking, "Origin": "https://x.y"})
    assert "access-control-allow-origin" not in refused.headers
    # Pages can read why they were refused.
    wrong = guarded.ask("GET", "/v1/model", headers={"Origin": "https://shop.example"})
    assert wrong.status_code == 401
    assert wrong.headers["access-control-allow-origin"] == "https://shop.example"


def test_the_environment_and_what_it_may_not_say(paths) -> None:
    named = {"NEARFAR_TOKEN": TOKEN, "NEARFAR_CORS_ORIGINS": "https://a, https://b,"}
    assert from_environment(named) == (TOKEN, ("https://a", "https://b"))
    assert from_environment({"NEARFAR_TOKEN": ""}) == (None, ())
    with pytest.raises(SettingsError, match="NEARFAR_TOKEN is shorter"):
        ServiceSettings(bundles=paths, token="short")
    assert TOKEN not in repr(ServiceSettings(bundles=paths, token=TOKEN))
    with pytest.raises(SettingsError, match="give either bundles"):
        ServiceSettings()


def test_logs_hold_no_personal_data(answering: Answering) -> None:
    stream = io.StringIO()
    to_stream(stream)
    try:
        answering.post("/v1/recommend", {"items": [100, 105], "user": "anna-7"})
        answering.ask("GET", "/v1/users/anna-7/recommendations?k=3")
        answering.ask("GET", "/v1/items?query=secretive")
        answering.ask("GET", "/v1/secretive/anna-7")
    finally:
        logging.getLogger("nearfar.web").handlers = []
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    asked = [line for line in lines if line["event"] == "request"]
    assert [line["route"] for line in asked] == [
        "/v1/recommend", "/v1/users/{user}/recommendations", "/v1/items", "none"
    ]  # fmt: skip
    assert {"at", "level", "request_id", "method", "status", "ms"} <= set(asked[0])
    # Times and request ids are drawn anew each time, and may hold "105" by chance.
    told = [{name: value for name, value in line.items() if name not in ("at", "ms", "request_id")}
            for line in lines]  # fmt: skip
    for secret in ("anna", "secretive", "105"):
        assert secret not in json.dumps(told)


def test_a_fault_is_told_by_its_place_alone(paths, monkeypatch: pytest.MonkeyPatch) -> None:
    answering = Answering(ServiceSettings(bundles=paths, threads=1))
    stream = io.StringIO()
    to_stream(stream)

    def broken(*_):
        raise KeyError("history of anna-7")

    monkeypatch.setattr(type(answering.service.models.get(None).scorer), "top_k", broken)
    try:
        response = answering.post("/v1/recommend", {"items": [100]})
    finally:
        logging.getLogger("nearfar.web").handlers = []
    assert response.status_code == 500
    assert response.json()["type"].endswith(":internal")
    assert "anna" not in response.text + stream.getvalue()
    assert "Key" not in response.text
    (fault,) = [json.loads(t) for t in stream.getvalue().splitlines() if '"error"' in t]
    assert fault["error"] == "KeyError"
    assert any("broken" in place for place in fault["where"])


def test_lines_of_the_server_are_json_too() -> None:
    record = logging.LogRecord("uvicorn.error", logging.WARNING, "", 0, "Bad %s", ("head",), None)
    line = json.loads(JsonLines().format(record))
    assert (line["event"], line["message"], line["level"]) == ("server", "Bad head", "warning")


def test_metrics_count_by_route_and_not_by_user(answering: Answering) -> None:
    answering.ask("GET", "/v1/users/anna-7/recommendations")
    text = answering.ask("GET", "/metrics").text
    assert 'route="/v1/users/{user}/recommendations",status="200"}' in text
    assert "anna" not in text
    for name in ("batch_users", "batch_seconds", "queue_users", "http_request_seconds"):
        assert f"nearfar_{name}" in text
