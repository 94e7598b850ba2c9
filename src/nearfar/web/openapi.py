"""Generates the OpenAPI 3.1 document from the operations."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from nearfar._version import __version__
from nearfar.web.examples import ANSWERS, BODIES
from nearfar.web.operation import ARM, JSON, Operation
from nearfar.web.problems import MEDIA_TYPE, Problem

DESCRIPTION = """Recommendations for any history, with explanations, similar items and maps.

Errors are `application/problem+json` (RFC 9457); `type` is stable. If the service was started with
a token, requests to `/v1/...` and `/metrics` need `Authorization: Bearer TOKEN`. Every response has
an `X-Request-Id`: the request's if it has one.
"""
REFERENCE = "#/components/schemas/{model}"
TEXT = {"schema": {"type": "string"}}
ARM_HEADER = {
    "description": "The user's arm, for the log of exposures; absent without an experiment or a "
    "user, or if the request names another model than the arm's.",
    "required": False,
    **TEXT,
}
PROBLEMS = {
    400: "The body is not JSON.",
    401: "The token is missing or wrong.",
    404: "No such item, model, map or path.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The Content-Type is not application/json.",
    422: "A field is missing, unknown or out of range, or the model cannot do this.",
    429: "The queue is full; retry after Retry-After seconds.",
    500: "The service failed.",
    503: "No model is loaded yet, or the service is stopping.",
    504: "The deadline passed.",
}
ALWAYS = (401, 500)
WITH_BODY = (400, 408, 413, 415)


def describe(operations: Collection[Operation]) -> dict[str, Any]:
    """Return the OpenAPI document of all operations."""
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    bodies = (o.takes for o in operations if o.method == "POST")
    answers = (*(o.returns for o in operations), Problem)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "nearfar", "version": __version__, "description": DESCRIPTION,
            "summary": "Recommendations by nearfar.", "license": {"name": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": {**_schemas(bodies, "validation"), **_schemas(answers, "serialization")},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }  # fmt: skip


def _schemas(models: Iterable[type[BaseModel] | None], mode: Any) -> dict[str, Any]:
    pairs = [(model, mode) for model in models if model is not None]
    return models_json_schema(pairs, ref_template=REFERENCE)[1].get("$defs", {})


def _operation(operation: Operation) -> dict[str, Any]:
    summary, _, description = (inspect.getdoc(operation.handler) or "").partition("\n")
    summary = summary.rstrip(".")
    name = operation.handler.__name__
    method = operation.method.lower()
    entry: dict[str, Any] = {
        "tags": [operation.tag],
        "summary": summary,
        "operationId": re.sub(r"\W", "_", f"{name}{operation.path}_{method}"),
        "responses": _responses(operation, summary),
    }
    if description.strip():
        entry["description"] = description.strip()
    if operation.takes is not None and method == "post":
        entry["requestBody"] = _body(operation.takes)
    elif operation.takes is not None:
        entry["parameters"] = _parameters(operation.takes, operation.path)
    if operation.path.startswith("/v1/") or operation.path == "/metrics":
        entry["security"] = [{"token": []}, {}]
    return entry


def _parameters(model: type[BaseModel], path: str) -> list[dict[str, Any]]:
    schema = model.model_json_schema()
    required = schema.get("required", ())
    parameters = []
    for name, field_schema in schema["properties"].items():
        parameters.append(
            {"name": name, "in": "path" if f"{{{name}}}" in path else "query",
             "required": name in required, "schema": field_schema}
        )  # fmt: skip
        if "description" in field_schema:
            parameters[-1]["description"] = field_schema["description"]
    return parameters


def _body(model: type[BaseModel]) -> dict[str, Any]:
    examples = {name: {"value": value} for name, value in BODIES[model].items()}
    content = {"schema": {"$ref": REFERENCE.format(model=model.__name__)}, "examples": examples}
    return {"required": True, "content": {JSON: content}}


def _responses(operation: Operation, summary: str) -> dict[str, Any]:
    statuses = {*operation.problems, *ALWAYS}
    if operation.takes is not None:
        statuses |= {422, *(WITH_BODY if operation.method == "POST" else ())}
    return {"200": _answer(operation, summary), **{str(s): _problem(s) for s in sorted(statuses)}}


def _answer(operation: Operation, summary: str) -> dict[str, Any]:
    headers: dict[str, Any] = {"X-Request-Id": TEXT, **({ARM: ARM_HEADER} if operation.arm else {})}
    model = operation.returns
    if model is None:
        kind = operation.media_type.partition(";")[0]
        return {"description": summary, "content": {kind: TEXT}, "headers": headers}
    schema = {"$ref": REFERENCE.format(model=model.__name__)}
    return {
        "description": (inspect.getdoc(model) or "").partition("\n")[0],
        "content": {JSON: {"schema": schema, "example": ANSWERS[model]}},
        "headers": headers,
    }


def _problem(status: int) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(model=Problem.__name__)}}}
    headers = {"headers": {"Retry-After": TEXT}} if status in (429, 503) else {}
    return {"description": PROBLEMS[status], "content": content, **headers}
