"""An operation of the interface: a method on a path, declared once, for router and description."""

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
"""Takes the request and its input, if it has one; returns the content of the answer."""

H = TypeVar("H", bound=Handler)

JSON = "application/json"
ARM = "X-Nearfar-Arm"
MAX_ERRORS = 20
MAX_WHOLE = 2.0**63
OF_UNION = ("constrained-int", "constrained-str", "int", "str")
"""What Pydantic calls the kinds of an id in the place of an error."""


class AnyId(PathConvertor):
    """Takes an id that holds "/", sent as it is or as %2F, or a line break."""

    regex = r"(?s:.+)"


CONVERTOR_TYPES["id"] = AnyId()


@dataclass(frozen=True, eq=False)
class Operation:
    """What is answered to a method on a path; the ASGI application of its route.

    The handler's docstring is its description: the first line the summary, then the rest.

    Args:
        method: GET or POST.
        path: parameters in braces, as in "/v1/items/{item}/similar"; each takes any text.
        handler: makes the content.
        takes: the model of the input: of a POST the body; of a GET the parameters, in the path
            and in the query. None for an operation without input.
        returns: the model of the answer's JSON, or None for an answer in text.
        media_type: of the answer.
        problems: the statuses of errors besides those that follow from the rest.
        arm: whether the answer has an arm, to be named in the header `ARM` too.
        tag: groups operations in the description.
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
        """Return the decorator that declares a handler's operation; options as of `Operation`."""

        def declare(handler: H) -> H:
            self.append(Operation(method, path, handler, tag=self._tag, **options))
            return handler

        return declare

    get = partialmethod(declare, "GET")
    post = partialmethod(declare, "POST")


def service_of(request: Request) -> Service:
    """Return the service that a request is for."""
    return request.app.state.service


def read_parameters(scope: Scope, model: type[M]) -> M:
    """Return the parameters of a path and its query, checked; unknown ones are ignored.

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
    """Return the body of a request, checked; 7.0 is the whole number 7, as JSON Schema has it.

    Raises:
        ProblemError: it is not JSON, or not what was expected.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise ProblemError(415, "not-json", f"send the header Content-Type: {JSON}")
    # Whole in one message: `AdmissionMiddleware` has read it.
    body = (await request.receive()).get("body", b"")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        # Only here, so that the usual request is parsed once.
        again = _with_whole_numbers(body, model)
        if again is not None:
            return again
        errors = error.errors(include_url=False, include_context=False)
        raise validation_problem(errors, model.model_fields) from None


def _with_whole_numbers(body: bytes, model: type[M]) -> M | None:
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


def validation_problem(
    errors: Sequence[Mapping[str, Any]], known: Iterable[str] = ()
) -> ProblemError:
    """Return the problem of what Pydantic refused; values are not repeated.

    Args:
        errors: as Pydantic tells them.
        known: the names of all fields, to suggest the nearest one, or all, for an unknown field.
    """
    if errors and errors[0]["type"] == "json_invalid":
        return ProblemError(400, "bad-json", f"the body is no JSON ({errors[0]['msg']})")
    messages: dict[str, list[str]] = {}
    for error in errors[:MAX_ERRORS]:
        parts = [_token(part) for part in error["loc"] if part not in OF_UNION]
        message = error["msg"]
        if error["type"] == "extra_forbidden" and parts:
            near = difflib.get_close_matches(parts[-1], list(known), n=1, cutoff=0.5)
            names = ", ".join(sorted(known))
            hint = f"did you mean {near[0]!r}?" if near else f"the fields are {names}"
            message = f"there is no such field; {hint}" if near or names else message
        messages.setdefault("/" + "/".join(parts), []).append(message)
    told = [
        {"pointer": pointer, "detail": "; or: ".join(all_)} for pointer, all_ in messages.items()
    ]
    first = f"{told[0]['pointer']}: {told[0]['detail']}" if told else "not as expected"
    return ProblemError(422, "invalid", f"the request is not valid; {first}", errors=told)


def _token(part: Any) -> str:
    return str(part)[:100].replace("~", "~0").replace("/", "~1")
