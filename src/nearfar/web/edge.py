"""The outermost layer: request ids, the log's line, metrics, and errors that nobody caught."""

from __future__ import annotations

import logging
import random
import re
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nearfar.web.logs import failure, log
from nearfar.web.metrics import Metrics
from nearfar.web.problems import ProblemError, internal

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
MADE = random.Random()
"""Ids need to differ, not to be secret; the system's random numbers cost a call of the kernel."""

SECURITY = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
QUIET = ("/healthz", "/readyz", "/metrics")
DESCRIPTION = "/openapi.json"


class Edge:
    """Wraps the whole application.

    A request id that a client sends is kept where it is 1 to 64 letters, digits, dots, hyphens
    and underscores; otherwise one is made.

    Args:
        app: what answers.
        metrics: updated with every request.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status, method = 0, scope["method"]
        if method == "HEAD":
            # What GET would answer, without its body, on every path. The server's own scope stays.
            scope = {**scope, "method": "GET"}

        async def sending(message: Message) -> None:
            nonlocal status
            if method == "HEAD" and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()), (b"x-request-id", request_id.encode()), *SECURITY
                ]  # fmt: skip
            await send(message)

        fault: dict[str, Any] = {}
        try:
            await self._app(scope, receive, sending)
        except ProblemError as problem:
            await problem.response(request_id)(scope, receive, sending)
        except Exception as error:
            fault = failure(error)
            if status:
                raise
            await internal().response(request_id)(scope, receive, sending)
        finally:
            self._tell(scope, method, request_id, status, time.perf_counter() - started, fault)

    def _tell(
        self,
        scope: Scope,
        method: str,
        request_id: str,
        status: int,
        seconds: float,
        fault: dict[str, Any],
    ) -> None:
        route = route_of(scope)
        if method not in ("GET", "POST", "HEAD", "OPTIONS"):
            method = "other"
        self._metrics.answered(route, method, status, seconds)
        level = logging.ERROR if fault else logging.INFO
        if route in QUIET and status < 400:
            level = logging.DEBUG
        log(
            "request", level, request_id=request_id, method=method, route=route, status=status,
            ms=round(1000 * seconds, 2), **fault,
        )  # fmt: skip


def route_of(scope: Scope) -> str:
    """The template of the path, which holds no ids; "page" for files, "none" for no route."""
    route = scope.get("route")
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    if path or scope["path"] == DESCRIPTION:
        return path or DESCRIPTION
    return "page" if "endpoint" in scope else "none"


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            return value.decode()
    return f"{MADE.getrandbits(128):032x}"
