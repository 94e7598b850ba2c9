"""The description of the interface; `test_openapi_fuzz` holds answers to it."""

import json

import pytest

from nearfar.web.examples import BODIES
from nearfar.web.schemas import MAX_K, BatchRequest, RecommendRequest
from nearfar.web.settings import ServiceSettings
from tests.web.cases import Answering, bundles

OPERATIONS = [
    ("POST", "/v1/recommend"),
    ("POST", "/v1/recommend/batch"),
    ("GET", "/v1/users/{user}/recommendations"),
    ("GET", "/v1/items"),
    ("GET", "/v1/items/{item}/similar"),
    ("GET", "/v1/map"),
    ("GET", "/v1/map/items"),
    ("POST", "/v1/map/point"),
    ("GET", "/v1/model"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
]


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Answering:
    return Answering(ServiceSettings(bundles=bundles(tmp_path_factory.mktemp("web")), threads=1))


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


@pytest.mark.parametrize(
    ("path", "model"),
    [("/v1/recommend", RecommendRequest), ("/v1/recommend/batch", BatchRequest)],
)
def test_examples_of_requests_are_answered(answering: Answering, path: str, model: type) -> None:
    for example in BODIES[model].values():
        assert answering.post(path, example).status_code == 200


def test_parameters_and_bodies_are_described_as_they_are_read(answering: Answering) -> None:
    told = answering.ask("GET", "/openapi.json").json()["paths"]
    described = {
        (path, p["name"]): (p["in"], p["required"])
        for path, operations in told.items()
        for p in operations.get("get", {}).get("parameters", [])
    }
    assert described == {
        ("/v1/users/{user}/recommendations", "user"): ("path", True),
        ("/v1/users/{user}/recommendations", "k"): ("query", False),
        ("/v1/users/{user}/recommendations", "model"): ("query", False),
        ("/v1/items", "query"): ("query", True),
        ("/v1/items", "limit"): ("query", False),
        ("/v1/items", "model"): ("query", False),
        ("/v1/items/{item}/similar", "item"): ("path", True),
        ("/v1/items/{item}/similar", "k"): ("query", False),
        ("/v1/items/{item}/similar", "model"): ("query", False),
        ("/v1/map", "model"): ("query", False),
        ("/v1/map/items", "model"): ("query", False),
    }
    k = told["/v1/users/{user}/recommendations"]["get"]["parameters"][1]["schema"]
    assert (k["minimum"], k["maximum"], k["default"]) == (1, MAX_K, 10)
    for path, model in (("recommend", "RecommendRequest"), ("map/point", "PointRequest")):
        content = told[f"/v1/{path}"]["post"]["requestBody"]["content"]["application/json"]
        assert content["schema"] == {"$ref": f"#/components/schemas/{model}"}
        assert set(told[f"/v1/{path}"]["post"]["responses"]) >= {"400", "408", "413", "415", "422"}
