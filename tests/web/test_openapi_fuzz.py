"""Valid and invalid requests, made from the description, against a service with all there is."""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import save_bundle
from nearfar.data.interactions import FoldIn, Split
from nearfar.data.splits.folder import save_split
from nearfar.store.sinks.parquet import ParquetRecommendations
from tests.bundle.cases import ABOUT, make_model
from tests.conftest import interactions
from tests.web.cases import Program
from tests.web.test_openapi import OPERATIONS

pytestmark = pytest.mark.slow

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance,
    response_headers_conformance, response_schema_conformance,
]  # fmt: skip
WITH_INPUT = [o for o in OPERATIONS if o[1].startswith("/v1/") and o[1] != "/v1/model"]
TABLE = re.findall(
    r"^\| (\d{3}) \| ([^|]+) \|",
    (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
DOCUMENTED = {(int(s), name) for s, names in TABLE for name in re.findall(r"`([\w-]+)`", names)}
OF_VALID = {"unknown-item", "unknown-model", "no-map", "nothing-allowed", "not-supported"}
"""What a request that keeps to the description may be refused for."""


def split(folder: Path) -> Split:
    """Users of three sizes, items 100 to 119."""
    rng = np.random.default_rng(0)
    dense = np.zeros((90, 20))
    for row, size in zip(dense, rng.choice([2, 6, 15], 90), strict=True):
        row[rng.permutation(20)[:size]] = 1
    half = dense[70:] * (np.arange(20) % 2)
    held_out = FoldIn(interactions(half), interactions(dense[70:] - half))
    made = Split(interactions(dense[:70]), held_out, held_out, {})
    save_split(made, folder / "split")
    return made


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Two models, a map, stored rows by one of them, histories, and arms that choose the model."""
    folder = tmp_path_factory.mktemp("web")
    items = split(folder).train.item_ids
    for kind in ("autoencoder", "item_item"):
        save_bundle(Bundle(make_model(kind, 20), items, ABOUT), folder / kind)
    users = ["42", *map(str, range(10))]
    rows = pl.DataFrame(
        {"user": users, "rank": [1] * 11, "item": ["105"] * 11, "score": [0.5] * 11}
    )
    with ParquetRecommendations(str(folder / "store")).writing(
        date(2026, 3, 2), "autoencoder"
    ) as writer:
        writer.write(rows)
    (folder / "histories.csv").write_text("user,item\n42,101\n0,107\n")
    (folder / "test.toml").write_text('name = "t"\narms = ["autoencoder", "item_item"]\n')
    arguments = ["--bundle", folder / "autoencoder", "--bundle", folder / "item_item"]
    arguments += ["--data", folder / "split", "--store", folder / "store"]
    arguments += ["--histories", folder / "histories.csv", "--experiment", folder / "test.toml"]
    with Program(*map(str, arguments)) as program:
        yield program


def asked(program: Program, method: str, path: str, mode: GenerationMode, n: int, check) -> None:
    """Requests of one kind, each answer held to the description and to `check`."""
    schema = schemathesis.openapi.from_url(f"{program.url}/openapi.json")

    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=n, suppress_health_check=[*HealthCheck])
    def holds(case) -> None:
        response = case.call()
        extra = [negative_data_rejection] if mode is GenerationMode.NEGATIVE else []
        case.validate_response(response, checks=CHECKS + extra)
        check(response)

    holds()


def problem_of(response) -> str:
    """The name of the problem, in the documented form and of the documented status."""
    assert response.headers["content-type"] == ["application/problem+json"]
    told = response.json()
    assert told["status"] == response.status_code
    assert [told["request_id"]] == response.headers["x-request-id"]
    name = told["type"].removeprefix("urn:problem-type:nearfar:")
    assert (response.status_code, name) in DOCUMENTED
    return name


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_valid_requests_are_answered(program: Program, method: str, path: str) -> None:
    def check(response) -> None:
        if response.status_code != 200:
            assert problem_of(response) in OF_VALID

    asked(program, method, path, GenerationMode.POSITIVE, 40 if method == "POST" else 20, check)


@pytest.mark.parametrize(("method", "path"), WITH_INPUT)
def test_invalid_requests_are_refused(program: Program, method: str, path: str) -> None:
    def check(response) -> None:
        if response.status_code != 200:
            problem_of(response)

    asked(program, method, path, GenerationMode.NEGATIVE, 60 if method == "POST" else 30, check)


def test_what_there_is_was_reached(program: Program) -> None:
    """The fixture serves a map, stored rows and both arms; else the above would hold of nothing."""
    assert program.get("/v1/map").json()["anchors"]
    found = [program.get(f"/v1/users/{u}/recommendations").json() for u in range(10)]
    assert {(f["arm"], f["source"]) for f in found} >= {
        ("autoencoder", "stored"), ("item_item", "popular"),
    }  # fmt: skip
