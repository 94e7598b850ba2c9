"""The busiest paths, answered before FastAPI's own machinery.

Its router, dependencies and layers do nothing for a route that reads its request and makes its
answer itself, and took a third of the event loop's time of a request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from nearfar.web.problems import ProblemError

Endpoint = Callable[[Request], Awaitable[Response]]
Matcher = Callable[[str, bytes], tuple[str, Endpoint] | None]
"""Takes a path, decoded, and a query string."""


@dataclass(frozen=True)
class _Route:
    """What the log and the metrics ask of a route."""

    path: str


class Direct:
    """Calls the endpoint of a POST to one of its paths, and of a GET that a matcher takes.

    Everything else goes on to the application.

    Args:
        app: what answers all else. It has the same routes, for the description, other methods and
            requests that are not valid.
        endpoints: of POST, by path, without parameters in it.
        matchers: of GET. Each returns the route's path and an endpoint for a request that it can
            answer, else None.
    """

    def __init__(
        self, app: ASGIApp, endpoints: Mapping[str, Endpoint], matchers: Sequence[Matcher] = ()
    ) -> None:
        self._app = app
        self._found = {path: (_Route(path), endpoint) for path, endpoint in endpoints.items()}
        self._matchers = tuple(matchers)

    def _find(self, scope: Scope) -> tuple[_Route, Endpoint] | None:
        if scope["type"] != "http":
            return None
        if scope["method"] == "POST":
            return self._found.get(scope["path"])
        for matcher in self._matchers if scope["method"] == "GET" else ():
            found = matcher(scope["path"], scope["query_string"])
            if found is not None:
                return _Route(found[0]), found[1]
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._find(scope)
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["route"], scope["endpoint"] = found
        try:
            response = await found[1](Request(scope, receive))
        except ProblemError as problem:
            response = problem.response(scope["state"]["request_id"])
        await response(scope, receive, send)
