"""Operations of the HTTP interface: each is declared once, for routes and OpenAPI document."""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partialmethod
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import orjson
from pydantic import BaseModel, ValidationError
from starlette.convertors import CONVERTOR_TYPES, PathConvertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from nearfar.web.problems import ProblemError
from nearfar.web.service import Service

M = TypeVar("M", bound=BaseModel)
Handler = Callable[..., Awaitable[Any]]
"""Takes the request and its input, if any; returns the content of the response."""

H = TypeVar("H", bound=Handler)

JSON = "application/json"
ARM = "X-Nearfar-Arm"
MAX_ERRORS = 20
MAX_WHOLE = 2.0**63
UNION_KINDS = ("constrained-int", "constrained-str", "int", "str")
"""Pydantic adds these kinds of an id to the location of an error."""


class AnyId(PathConvertor):
    """Matches any id, including "/", sent as it is or as %2F, and line breaks."""

    regex = r"(?s:.+)"


CONVERTOR_TYPES["id"] = AnyId()


@dataclass(frozen=True, eq=False)
class Operation:
    """A method on a path with its handler; the ASGI application of its route.

    The first line of the handler's docstring is the summary in the OpenAPI document, the rest the
    description.

    Args:
        method: GET or POST.
        path: parameters in braces, as in "/v1/items/{item}/similar"; each takes any text.
        handler: returns the content of the response.
        takes: schema of the input: the body of a POST; the path and query parameters of a GET.
            None for an operation without input.
        returns: schema of the response's JSON; None for a response in text.
        media_type: media type of the response.
        problems: statuses of errors besides those that every such operation has.
        arm: whether the response names an arm, which the header `ARM` repeats.
        tag: group in the OpenAPI document.
    """

    method: str
    path: str
    handler: Handler
    takes: type[BaseModel] | None = None
    returns: type[BaseModel] | None = None
    media_type: str = JSON
    problems: Collection[int] = ()
    arm: bool = False
    tag: str = ""

    def route(self) -> Route:
        """Return the route of the operation."""
        return Route(re.sub(r"\{(\w+)\}", r"{\1:id}", self.path), self, methods=[self.method])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the input, call the handler and send its content.

        Raises:
            ProblemError: the input is not valid, or the handler refuses it.
        """
        request = Request(scope, receive)
        if self.takes is None:
            content = await self.handler(request)
        elif self.method == "POST":
            content = await self.handler(request, await read_body(request, self.takes))
        else:
            content = await self.handler(request, read_parameters(scope, self.takes))
        arm = content["arm"] if self.arm else None
        if self.returns is not None:
            content = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
        headers = None if arm is None else {ARM: arm}
        await Response(content, 200, headers, self.media_type)(scope, receive, send)


class Operations(list[Operation]):
    """The operations of a group, declared by decorators.

    Args:
        tag: the group's name.
    """

    def __init__(self, tag: str) -> None:
        super().__init__()
        self._tag = tag

    def declare(self, method: str, path: str, **options: Any) -> Callable[[H], H]:
        """Return the decorator that declares a handler; the options are those of `Operation`."""

        def declare(handler: H) -> H:
            self.append(Operation(method, path, handler, tag=self._tag, **options))
            return handler

        return declare

    get = partialmethod(declare, "GET")
    post = partialmethod(declare, "POST")


def service_of(request: Request) -> Service:
    """Return the service of a request."""
    return request.app.state.service


def read_parameters(scope: Scope, model: type[M]) -> M:
    """Return the validated parameters of path and query; unknown ones are ignored.

    Raises:
        ProblemError: a parameter is missing or not valid.
    """
    in_path, query = scope["path_params"], scope["query_string"]
    values = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else {}
    try:
        return model.model_validate({**values, **in_path})
    except ValidationError as error:
        errors = [
            {**e, "loc": ("path" if e["loc"][0] in in_path else "query", *e["loc"])}
            for e in error.errors(include_url=False, include_context=False)
        ]
        raise validation_problem(errors) from None


async def read_body(request: Request, model: type[M]) -> M:
    """Return the validated body of a request; 7.0 is the integer 7, as in JSON Schema.

    Raises:
        ProblemError: the body is not JSON or not valid.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise ProblemError(415, "not-json", f"send the header Content-Type: {JSON}")
    # One message has the whole body: `AdmissionMiddleware` has read it.
    body = (await request.receive()).get("body", b"")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        # Tried only after a failure, so that most requests are parsed once.
        value = _with_whole_numbers(body, model)
        if value is not None:
            return value
        errors = error.errors(include_url=False, include_context=False)
        raise validation_problem(errors, model.model_fields) from None


def _with_whole_numbers(body: bytes, model: type[M]) -> M | None:
    """Return the body with 7.0 read as 7; None if it is still not valid."""
    try:
        return model.model_validate_json(orjson.dumps(_whole(orjson.loads(body))))
    except (ValidationError, ValueError, TypeError, RecursionError):
        return None


def _whole(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < MAX_WHOLE else value
    if isinstance(value, list):
        return [_whole(element) for element in value]
    if isinstance(value, dict):
        return {key: _whole(element) for key, element in value.items()}
    return value


def validation_problem(
    errors: Sequence[Mapping[str, Any]], known: Iterable[str] = ()
) -> ProblemError:
    """Return the problem for Pydantic's errors; the request's values are not repeated.

    Args:
        errors: the errors of Pydantic.
        known: names of all fields; the nearest one, or all, are suggested for an unknown field.
    """
    if errors and errors[0]["type"] == "json_invalid":
        return ProblemError(400, "bad-json", f"the body is not JSON ({errors[0]['msg']})")
    messages: dict[str, list[str]] = {}
    for error in errors[:MAX_ERRORS]:
        parts = [_token(part) for part in error["loc"] if part not in UNION_KINDS]
        message = error["msg"]
        if error["type"] == "extra_forbidden" and parts:
            near = difflib.get_close_matches(parts[-1], list(known), n=1, cutoff=0.5)
            names = ", ".join(sorted(known))
            hint = f"did you mean {near[0]!r}?" if near else f"the fields are {names}"
            message = f"there is no such field; {hint}" if near or names else message
        messages.setdefault("/" + "/".join(parts), []).append(message)
    details = [
        {"pointer": pointer, "detail": "; or: ".join(alternatives)}
        for pointer, alternatives in messages.items()
    ]
    first = f"{details[0]['pointer']}: {details[0]['detail']}" if details else "not as expected"
    return ProblemError(422, "invalid", f"the request is not valid; {first}", errors=details)


def _token(part: Any) -> str:
    """Return a part of a location, escaped for a JSON pointer."""
    return str(part)[:100].replace("~", "~0").replace("/", "~1")
