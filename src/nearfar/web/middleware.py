"""Middleware of every request: observation is outermost, admission is next to the router."""

from __future__ import annotations

import asyncio
import hmac
import logging
import random
import re
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nearfar.web.logs import failure, log
from nearfar.web.metrics import Metrics
from nearfar.web.problems import ProblemError, internal
from nearfar.web.settings import Limits

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
ID_BITS = random.Random()
"""Request ids need not be secret, and the system's random numbers cost a system call."""

SECURITY = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
QUIET = ("/healthz", "/readyz", "/metrics")
METHODS = ("GET", "POST", "HEAD", "OPTIONS")

GUARDED = "/v1/"
METRICS = "/metrics"
CLOSE = {"Connection": "close"}
"""For responses to requests whose body was not read."""


class ObservationMiddleware:
    """Adds the request id and security headers, logs and counts requests, answers HEAD and errors.

    A client's request id is kept if it is 1 to 64 letters, digits, dots, hyphens and underscores;
    otherwise a new one is made.

    Args:
        app: the application.
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
            # The response of GET without its body. The server's scope must stay as it is.
            scope = {**scope, "method": "GET"}

        async def observed_send(message: Message) -> None:
            nonlocal status
            if method == "HEAD" and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()), (b"x-request-id", request_id.encode()), *SECURITY
                ]  # fmt: skip
            await send(message)

        error_fields: dict[str, Any] = {}
        try:
            await self._app(scope, receive, observed_send)
        except Exception as error:
            error_fields = failure(error)
            if status:
                raise
            await internal().response(request_id)(scope, receive, observed_send)
        finally:
            seconds = time.perf_counter() - started
            self._record(scope, method, request_id, status, seconds, error_fields)

    def _record(
        self,
        scope: Scope,
        method: str,
        request_id: str,
        status: int,
        seconds: float,
        error_fields: dict[str, Any],
    ) -> None:
        route = route_of(scope)
        if method not in METHODS:
            method = "other"
        self._metrics.answered(route, method, status, seconds)
        level = logging.ERROR if error_fields else logging.INFO
        if route in QUIET and status < 400:
            level = logging.DEBUG
        log(
            "request", level, request_id=request_id, method=method, route=route, status=status,
            ms=round(1000 * seconds, 2), **error_fields,
        )  # fmt: skip


def route_of(scope: Scope) -> str:
    """Return the template of the request's path, which contains no ids.

    It is "page" for the files of the page and "none" for a path without a route.
    """
    endpoint = scope.get("endpoint")
    return "none" if endpoint is None else getattr(endpoint, "path", "page")


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            return value.decode()
    return f"{ID_BITS.getrandbits(128):032x}"


class AdmissionMiddleware:
    """Checks the token and reads the whole body within the limits of size and time.

    With a token, requests to `/v1/...` and `/metrics` need it; the page, the OpenAPI document and
    the probes do not.

    Args:
        app: the application; it receives the body as one message.
        limits: limits of the body.
        token: the secret; None lets everybody in.
    """

    def __init__(self, app: ASGIApp, limits: Limits, token: str | None) -> None:
        self._app = app
        self._limits = limits
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        empty = b"transfer-encoding" not in headers and headers.get(b"content-length", b"0") == b"0"
        try:
            self._authorize(scope["path"], headers, empty)
            body = b"" if empty else await self._body(headers, receive)
        except ProblemError as problem:
            # Answered here, not raised, so that the CORS middleware sees the response.
            await problem.response(scope["state"]["request_id"])(scope, receive, send)
            return
        await self._app(scope, receive if empty else _replayed(body, receive), send)

    def _authorize(self, path: str, headers: dict[bytes, bytes], empty: bool) -> None:
        if self._token is None or not (path.startswith(GUARDED) or path == METRICS):
            return
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        # Always compared, so that the time does not distinguish a missing token from a wrong one.
        matches = hmac.compare_digest(token.strip(), self._token)
        if scheme.lower() != b"bearer" or not matches:
            raise ProblemError(
                401, "unauthorized", "send the token, as Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": "Bearer", **({} if empty else CLOSE)},
            )  # fmt: skip

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        size = headers.get(b"content-length", b"0")
        if not size.isdigit() or int(size[:20]) > self._limits.body_bytes:
            raise self._too_large()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                return await self._read(receive)
        except TimeoutError:
            raise ProblemError(
                408, "too-slow",
                f"the body did not arrive within {self._limits.body_seconds:g} seconds",
                headers=CLOSE,
            ) from None  # fmt: skip

    async def _read(self, receive: Receive) -> bytes:
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ProblemError(400, "disconnected", "the client left before its body was read")
            part = message.get("body", b"")
            size += len(part)
            if size > self._limits.body_bytes:
                raise self._too_large()
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    def _too_large(self) -> ProblemError:
        return ProblemError(
            413, "too-large", f"the body is larger than {self._limits.body_bytes:,} bytes",
            headers=CLOSE,
        )  # fmt: skip


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that first returns the body, then the client's further messages."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
