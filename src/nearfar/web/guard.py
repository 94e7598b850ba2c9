"""Who may ask, and how much a request may hold."""

from __future__ import annotations

import asyncio
import hmac

from starlette.types import ASGIApp, Receive, Scope, Send

from nearfar.web.limits import Limits
from nearfar.web.problems import ProblemError

GUARDED = "/v1/"
METRICS = "/metrics"
UNREAD = {"Connection": "close"}
"""Where the body is not read."""

BODY = "nearfar.body"
"""Where in the scope the body stands that was read."""


class Guard:
    """Holds requests to the token and to the limits of the body, which it reads whole into `BODY`.

    Without a token everybody may ask. With one, `/v1/...` and `/metrics` need it; the page, the
    description of the interface and what probes read do not.

    Args:
        app: what answers.
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
        try:
            body = await self._admit(scope, receive)
        except ProblemError as problem:
            # Answered here and not raised: the layer of CORS must see the answer.
            await problem.response(scope["state"]["request_id"])(scope, receive, send)
            return
        scope[BODY] = body
        await self._app(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive) -> bytes:
        headers = dict(scope["headers"])
        path = scope["path"]
        empty = b"transfer-encoding" not in headers and headers.get(b"content-length", b"0") == b"0"
        if self._token is not None and (path.startswith(GUARDED) or path == METRICS):
            self._authorize(headers.get(b"authorization", b""), empty)
        if empty:
            return b""
        return await self._body(headers, receive)

    def _authorize(self, value: bytes, empty: bool) -> None:
        scheme, _, given = value.partition(b" ")
        assert self._token is not None
        # Always compared, so that the time taken does not tell a missing token from a wrong one.
        same = hmac.compare_digest(given.strip(), self._token)
        if scheme.lower() != b"bearer" or not same:
            raise ProblemError(
                401, "unauthorized", "send the token, as Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": "Bearer", **({} if empty else UNREAD)},
            )  # fmt: skip

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        told = headers.get(b"content-length", b"0")
        if not told.isdigit() or int(told[:20]) > self._limits.body_bytes:
            raise self._too_large()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                return await self._read(receive)
        except TimeoutError:
            raise ProblemError(
                408, "too-slow",
                f"the body did not arrive within {self._limits.body_seconds:g} seconds",
                headers={"Connection": "close"},
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
            headers={"Connection": "close"},
        )  # fmt: skip
