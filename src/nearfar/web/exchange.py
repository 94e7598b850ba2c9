"""Requests read and answers written, and how the description of the interface tells of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from nearfar.web.guard import BODY
from nearfar.web.problems import MEDIA_TYPE, ProblemError
from nearfar.web.service import Service

B = TypeVar("B", bound=BaseModel)

MAX_ERRORS = 20
MAX_WHOLE = 2.0**63
OF_UNION = ("constrained-int", "constrained-str", "int", "str")
"""What Pydantic calls the kinds of an id in the place of an error."""

ARM = "X-Nearfar-Arm"
ARM_HEADER = {
    "description": "The user's arm, for the log of exposures; absent where no experiment runs, the "
    "user is not told, or the request names another model than the one that the arm chooses.",
    "required": False,
    "schema": {"type": "string"},
}
JSON = "application/json"
TOLD = {
    400: "The body is no JSON.",
    401: "The token is missing or wrong.",
    404: "No such item, model, map or path.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not called application/json.",
    422: "A field is missing, unknown or out of range, or the model cannot do this.",
    429: "The queue is full; come again after Retry-After seconds.",
    500: "The service failed.",
    503: "Nothing to answer with yet, or the service stops.",
    504: "Not answered within the deadline.",
}
OF_BODY = (400, 408, 413, 415)


class Json(Response):
    """An answer in JSON."""

    media_type = JSON

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def service_of(request: Request) -> Service:
    """The service that a request is for."""
    return request.app.state.service


def read_body(request: Request, model: type[B]) -> B:
    """The body of a request, checked; 7.0 is the whole number 7, as JSON Schema has it.

    Raises:
        ProblemError: it is no JSON, or not what was expected.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise ProblemError(415, "not-json", f"send the header Content-Type: {JSON}")
    body = request.scope[BODY]
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        # Only here, so that the usual request is parsed once.
        again = _with_whole_numbers(body, model)
        if again is not None:
            return again
        errors = error.errors(include_url=False, include_context=False)
        raise of_validation(errors, model.model_fields) from None


def _with_whole_numbers(body: bytes, model: type[B]) -> B | None:
    """The body with 7.0 read as 7, or None where it is not valid so either."""
    try:
        return model.model_validate_json(orjson.dumps(_whole(orjson.loads(body))))
    except (ValidationError, ValueError, TypeError, RecursionError):
        return None


def _whole(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < MAX_WHOLE else value
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, dict):
        return {key: _whole(one) for key, one in value.items()}
    return value


def of_validation(errors: Sequence[Mapping[str, Any]], known: Iterable[str] = ()) -> ProblemError:
    """The problem of what Pydantic refused; values are not repeated.

    Args:
        errors: as Pydantic tells them.
        known: the fields that there are, to name the nearest one to a field that there is not.
    """
    if errors and errors[0]["type"] == "json_invalid":
        return ProblemError(400, "bad-json", f"the body is no JSON ({errors[0]['msg']})")
    at: dict[str, list[str]] = {}
    for error in errors[:MAX_ERRORS]:
        parts = [_token(part) for part in error["loc"] if part not in OF_UNION]
        message = error["msg"]
        if error["type"] == "extra_forbidden" and parts:
            near = difflib.get_close_matches(parts[-1], list(known), n=1, cutoff=0.5)
            message = f"there is no such field; did you mean {near[0]!r}?" if near else message
        at.setdefault("/" + "/".join(parts), []).append(message)
    told = [{"pointer": pointer, "detail": "; or: ".join(msgs)} for pointer, msgs in at.items()]
    first = f"{told[0]['pointer']}: {told[0]['detail']}" if told else "not as expected"
    return ProblemError(422, "invalid", f"the request is not valid; {first}", errors=told)


def answers(
    model: type[BaseModel], example: Any, *problems: int, arm: bool = False
) -> dict[int | str, Any]:
    """The `responses` of a route: what it answers when all is well, and its errors.

    Args:
        model: of the answer's body.
        example: of it.
        problems: the statuses of errors, beside 401 and 500.
        arm: whether the answer tells the arm of an experiment.
    """
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    done = {
        "description": (model.__doc__ or "").strip().partition("\n")[0],
        "content": {JSON: {"schema": schema, "example": example}},
        "headers": {
            "X-Request-Id": {"schema": {"type": "string"}},
            **({ARM: ARM_HEADER} if arm else {}),
        },
    }
    return {200: done, **problem_answers(*problems)}


def problem_answers(*statuses: int) -> dict[int | str, Any]:
    """The errors of a route."""
    reference = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": TOLD[status],
            "content": {MEDIA_TYPE: {"schema": reference}},
            **(
                {"headers": {"Retry-After": {"schema": {"type": "string"}}}}
                if status in (429, 503)
                else {}
            ),
        }
        for status in sorted({*statuses, 401, 500})
    }


def takes(model: type[BaseModel], **examples: Any) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads a body by `read_body`."""
    content = {
        "schema": {"$ref": f"#/components/schemas/{model.__name__}"},
        "examples": {name: {"value": value} for name, value in examples.items()},
    }
    return {"requestBody": {"required": True, "content": {JSON: content}}}


def _token(part: Any) -> str:
    return str(part)[:100].replace("~", "~0").replace("/", "~1")
