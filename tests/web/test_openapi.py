"""The description of the interface; `test_openapi_fuzz` holds answers to it."""

import json

import pytest

from nearfar.web import examples
from nearfar.web.setup import Setup
from tests.web.cases import Answering, bundles

OPERATIONS = [
    ("POST", "/v1/recommend"),
    ("POST", "/v1/recommend/batch"),
    ("GET", "/v1/users/{user}/recommendations"),
    ("GET", "/v1/items"),
    ("GET", "/v1/items/{item}/similar"),
    ("GET", "/v1/map"),
    ("POST", "/v1/map/point"),
    ("GET", "/v1/model"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
]


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Answering:
    return Answering(Setup(bundles=bundles(tmp_path_factory.mktemp("web")), threads=1))


def test_all_paths_are_described_with_examples_and_problems(answering: Answering) -> None:
    told = answering.ask("GET", "/openapi.json").json()
    described = [(method.upper(), path) for path in told["paths"] for method in told["paths"][path]]
    assert sorted(described) == sorted(OPERATIONS)
    for path, operations in told["paths"].items():
        for operation in operations.values():
            assert operation["summary"]
            answer = operation["responses"]["200"]["content"]
            assert path == "/metrics" or "example" in answer["application/json"]
            for status, response in operation["responses"].items():
                if status != "200":
                    assert list(response["content"]) == ["application/problem+json"]
    tells_arm = {("post", "/v1/recommend"), ("get", "/v1/users/{user}/recommendations")}
    assert tells_arm == {
        (method, path)
        for path, operations in told["paths"].items()
        for method, operation in operations.items()
        if "X-Nearfar-Arm" in operation["responses"]["200"].get("headers", {})
    }
    names = set(told["components"]["schemas"])
    used = {part.split('"')[0] for part in json.dumps(told).split("#/components/schemas/")[1:]}
    assert used <= names


@pytest.mark.parametrize("example", [*examples.RECOMMEND.values()])
def test_examples_of_requests_are_answered(answering: Answering, example: dict) -> None:
    assert answering.post("/v1/recommend", example).status_code == 200
