"""The service keeps to its description, whatever it is asked."""

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from nearfar.web import examples
from nearfar.web.setup import Setup
from tests.web.cases import Answering, Program, bundles

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance,
    response_headers_conformance, response_schema_conformance,
]  # fmt: skip
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


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory):
    path = bundles(tmp_path_factory.mktemp("web"))["autoencoder"]
    with Program("--bundle", str(path)) as program:
        yield program


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_answers_are_as_described(program: Program, method: str, path: str) -> None:
    schema = schemathesis.openapi.from_url(f"{program.url}/openapi.json")
    many = method == "POST"

    @given(case=schema[path][method].as_strategy())
    @settings(max_examples=25 if many else 15, suppress_health_check=list(HealthCheck))
    def holds(case) -> None:
        case.call_and_validate(checks=CHECKS)

    holds()


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
