"""The busiest paths, answered before FastAPI's own machinery.

Its router, dependencies and layers do nothing for a route that reads its request and makes its
answer itself, and took a third of the event loop's time of a request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from nearfar.web.problems import ProblemError

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class _Route:
    """What the log and the metrics ask of a route."""

    path: str


class Direct:
    """Calls the endpoint of a POST to one of its paths; all else goes on to the application.

    Args:
        app: what answers all else. It has the same routes, for the description and other methods.
        endpoints: by path, without parameters in it.
    """

    def __init__(self, app: ASGIApp, endpoints: Mapping[str, Endpoint]) -> None:
        self._app = app
        self._found = {path: (_Route(path), endpoint) for path, endpoint in endpoints.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        posted = scope["type"] == "http" and scope["method"] == "POST"
        found = self._found.get(scope["path"]) if posted else None
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["route"], scope["endpoint"] = found
        try:
            response = await found[1](Request(scope, receive))
        except ProblemError as problem:
            response = problem.response(scope["state"]["request_id"])
        await response(scope, receive, send)
