"""uvicorn's HTTP protocol with limits of size and time, which it lacks."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nearfar.web.problems import ProblemError

HEAD_BYTES = 1 << 16
"""Limit of a request's line and headers, and of the body's bytes that are not content."""

FRAMING = 16
"""Tolerated bytes of framing per byte of content; a chunk of one byte has five."""

FED_BYTES = 1 << 14
"""Bytes per step of the parser, after which the limits are checked."""

LINGER_SECONDS = 2.0
"""How long to read and drop the rest of a request that was answered before it had arrived.
Closing at once would reset the connection, and the client could lose the response."""


class LingeringTransport:
    """A transport that closes after the rest of the request has arrived, or `LINGER_SECONDS`.

    Writes of one turn of the event loop are joined. uvicorn writes the head and the body of a
    response separately, and uvloop sends each immediately, which costs two system calls and wakes
    the client twice.

    Args:
        transport: the transport of the connection.
        protocol: the protocol, which knows whether the whole request has arrived.
    """

    def __init__(self, transport: asyncio.Transport, protocol: Limited) -> None:
        self._transport = transport
        self._protocol = protocol
        self._closing = False
        self._unsent: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Buffer data, which is written at the end of the event loop's turn or before closing."""
        if not self._unsent:
            self._protocol.loop.call_soon(self._send)
        self._unsent.append(data)

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        if unsent and not self._transport.is_closing():
            self._transport.write(b"".join(unsent))

    def is_closing(self) -> bool:
        """Return whether the transport is closed or about to close."""
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Close the transport after the buffered data was sent."""
        if self._closing:
            return
        self._closing = True
        self._send()
        if self._protocol.whole or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        self._transport.resume_reading()
        self._protocol.loop.call_later(LINGER_SECONDS, self._transport.close)


class Limited(HttpToolsProtocol):
    """Limits the size of a request's head, the time it takes, and the framing of its body.

    uvicorn waits forever for a head, and accepts heads and trailers of any size. Here a head above
    `HEAD_BYTES` is answered with 431. Trailers are dropped and have the same limit. A connection
    is closed if a request was answered before it had arrived; the client can read the response.

    Attributes:
        head_seconds: time limit of a head.
        whole: whether the whole request has arrived.
    """

    head_seconds: float

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.whole = True
        self._in_head = True
        self._head_bytes = self._header_bytes = self._framing_bytes = self._content_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(LingeringTransport(transport, self))  # pyright: ignore[reportArgumentType]
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), FED_BYTES):
            if self._refused or self.transport.is_closing():
                return  # dropped
            part = data[start : start + FED_BYTES]
            if self._in_head:
                self._head_bytes += len(part)
            else:
                self._framing_bytes += len(part)
            super().data_received(part)
            limit = HEAD_BYTES + FRAMING * self._content_bytes
            if (self._in_head and self._head_bytes > HEAD_BYTES) or self._framing_bytes > limit:
                self._refuse()
        if self._in_head and self._head_timer is None and self.cycle_is_over():
            # Blank lines between requests must not stop the timer of the next head.
            self._start_timer()

    def cycle_is_over(self) -> bool:
        """Return whether no request is in progress."""
        return self.cycle is None or self.cycle.response_complete

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.whole, self._in_head = False, True
        self._header_bytes = self._framing_bytes = self._content_bytes = 0
        self._start_timer()

    def on_url(self, url: bytes) -> None:
        self._count_header(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            self._count_header(len(name) + len(value) + 4)
            if not self._refused:
                super().on_header(name, value)
        # Trailers are dropped; `data_received` counts their size.

    def on_headers_complete(self) -> None:
        self._stop_timer()
        if not self._refused:
            self._in_head = False
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._refused:
            return
        self._content_bytes += len(body)
        self._framing_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        self.whole, self._in_head, self._head_bytes = True, True, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if not self.whole:
            self.transport.close()
        super().on_response_complete()

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > HEAD_BYTES:
            self._refuse()

    def _refuse(self) -> None:
        """Answer 431 if no response was started, and close."""
        if self._refused:
            return
        self._refused = True
        self._stop_timer()
        # While the head arrives, `cycle` is the request before it; then it is this request.
        if self.cycle_is_over() or not (self._in_head or self.cycle.response_started):
            problem = ProblemError(
                431, "head-too-large",
                f"the request line, headers and trailers are larger than {HEAD_BYTES:,} bytes",
            )  # fmt: skip
            body = problem.body(None)
            head = (
                "HTTP/1.1 431 Request Header Fields Too Large\r\n"
                "content-type: application/problem+json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        if self.cycle is not None and not self.cycle_is_over():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _start_timer(self) -> None:
        self._stop_timer()
        self._head_timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def limited(seconds: float) -> type[Limited]:
    """Return the protocol whose heads must arrive within `seconds`."""

    class Bound(Limited):
        head_seconds = seconds

    return Bound
