"""What every request passes: observation outermost, admission next to the router."""

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
"""Ids need to differ, not to be secret; the system's random numbers cost a call of the kernel."""

SECURITY = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
QUIET = ("/healthz", "/readyz", "/metrics")
METHODS = ("GET", "POST", "HEAD", "OPTIONS")

GUARDED = "/v1/"
METRICS = "/metrics"
CLOSE = {"Connection": "close"}
"""For answers to requests whose body was not read."""


class ObservationMiddleware:
    """Adds the request id and security headers, logs and counts requests, answers HEAD and faults.

    A request id that a client sends is kept where it is 1 to 64 letters, digits, dots, hyphens
    and underscores; otherwise one is made.

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
            # What GET would answer, without its body, on every path. The server's own scope stays.
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

        fault: dict[str, Any] = {}
        try:
            await self._app(scope, receive, observed_send)
        except Exception as error:
            fault = failure(error)
            if status:
                raise
            await internal().response(request_id)(scope, receive, observed_send)
        finally:
            seconds = time.perf_counter() - started
            self._record(scope, method, request_id, status, seconds, fault)

    def _record(
        self,
        scope: Scope,
        method: str,
        request_id: str,
        status: int,
        seconds: float,
        fault: dict[str, Any],
    ) -> None:
        route = route_of(scope)
        if method not in METHODS:
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
    """Return the template of the path, which holds no ids.

    "page" stands for the files of the page, "none" for a path without a route.
    """
    endpoint = scope.get("endpoint")
    return "none" if endpoint is None else getattr(endpoint, "path", "page")


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            return value.decode()
    return f"{ID_BITS.getrandbits(128):032x}"


class AdmissionMiddleware:
    """Checks the token, and reads the body whole within the limits of size and time.

    Without a token everybody may ask. With one, `/v1/...` and `/metrics` need it; the page, the
    description of the interface and what probes read do not.

    Args:
        app: the application; it receives the body as one message.
        limits: of the body.
        token: the secret, or None.
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
            # Answered here and not raised: the layer of CORS must see the answer.
            await problem.response(scope["state"]["request_id"])(scope, receive, send)
            return
        await self._app(scope, receive if empty else _replayed(body, receive), send)

    def _authorize(self, path: str, headers: dict[bytes, bytes], empty: bool) -> None:
        if self._token is None or not (path.startswith(GUARDED) or path == METRICS):
            return
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        # Always compared, so that the time taken does not tell a missing token from a wrong one.
        same = hmac.compare_digest(token.strip(), self._token)
        if scheme.lower() != b"bearer" or not same:
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
    """Return a `receive` that gives a body that was read, then what the client does next."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
