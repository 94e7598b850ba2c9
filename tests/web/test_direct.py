"""The busiest paths without FastAPI's machinery: the same answers, and really without."""

import asyncio
from typing import Any

import pytest

from nearfar.web.direct import Direct
from nearfar.web.limits import MAX_ID
from nearfar.web.routes import recommend, users
from nearfar.web.setup import Setup
from tests.web.cases import Answering, bundles


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Answering:
    return Answering(Setup(bundles=bundles(tmp_path_factory.mktemp("web")), threads=1))


def without_direct(answering: Answering, monkeypatch: pytest.MonkeyPatch) -> Answering:
    with monkeypatch.context() as patched:
        patched.setattr(recommend, "DIRECT", {})
        patched.setattr(users, "match", lambda *_: None)
        return Answering(answering.service.setup)


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("POST", "/v1/recommend", {"json": {"items": [101, "nix"], "explain": True}}),
        ("POST", "/v1/recommend", {"json": {"items": [101], "unknown": 1}}),
        ("POST", "/v1/recommend", {"json": {"model": "nix"}}),
        ("POST", "/v1/recommend?k=3", {"content": b"{}"}),
        (
            "POST",
            "/v1/recommend",
            {"content": b"", "headers": {"Content-Type": "application/json"}},
        ),
        ("POST", "/v1/recommend/batch", {"json": {"histories": [[100], []]}}),
        ("POST", "/v1/recommend/", {"json": {}}),
        ("GET", "/v1/recommend", {}),
        ("PUT", "/v1/recommend", {"json": {}}),
        ("HEAD", "/v1/recommend/batch", {}),
        *(
            ("GET", f"/v1/users/{user}/recommendations?k=3", {})
            for user in ("a/b", "", "x" * MAX_ID, "x" * (MAX_ID + 1), "%00", "a%0Ab")
        ),
        *(
            ("GET", f"/v1/users/7/recommendations{query}", {})
            for query in ("", "?k=200", "?k=201", "?k=0", "?k=03", "?k=", "?model=nix")
        ),
        ("HEAD", "/v1/users/7/recommendations", {}),
        ("POST", "/v1/users/7/recommendations", {}),
    ],
)
def test_answers_are_the_same(
    answering: Answering, monkeypatch: pytest.MonkeyPatch, method: str, path: str, options: Any
) -> None:
    named = {**options, "headers": {**options.get("headers", {}), "X-Request-Id": "one"}}
    here = answering.ask(method, path, **named)
    there = without_direct(answering, monkeypatch).ask(method, path, **named)
    assert here.status_code == there.status_code
    assert here.content == there.content
    assert here.headers == there.headers


def test_only_what_is_posted_to_its_paths_is_answered_directly(answering: Answering) -> None:
    asked: list[str] = []

    async def other(scope, receive, send) -> None:
        asked.append(f"{scope['method']} {scope['path']}")

    async def nothing(*_: Any) -> None:
        pass

    async def run() -> None:
        direct = Direct(other, {"/v1/recommend": endpoint})
        for method, path in (("POST", "/v1/recommend"), ("GET", "/v1/recommend"), ("POST", "/x")):
            scope = {"type": "http", "method": method, "path": path, "headers": [], "state": {}}
            await direct(scope, nothing, nothing)

    async def endpoint(_: Any) -> Any:
        asked.append("direct")
        return nothing

    asyncio.run(run())
    assert asked == ["direct", "GET /v1/recommend", "POST /x"]


def test_the_service_answers_them_directly_and_counts_them_by_route(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastapi.routing.APIRoute.handle", None)
    answering.post("/v1/recommend", {})
    answering.post("/v1/recommend/batch", {"histories": [[]]})
    answering.ask("GET", "/v1/users/7/recommendations?k=3")
    sample = answering.service.metrics.registry.get_sample_value
    for path in recommend.DIRECT:
        labels = {"route": path, "method": "POST", "status": "200"}
        assert (sample("nearfar_http_requests_total", labels) or 0) >= 1
    labels = {"route": users.PATH, "method": "GET", "status": "200"}
    assert (sample("nearfar_http_requests_total", labels) or 0) >= 1
