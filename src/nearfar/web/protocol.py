"""uvicorn's HTTP protocol, held to limits of size and time that it has none of."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nearfar.web.problems import ProblemError

HEAD_BYTES = 1 << 16
"""Of a request's line and headers; and of all of its body's bytes that are not its content."""

FRAMING = 16
"""Bytes around a byte of content that are tolerated: a chunk of one byte has five."""

FED_BYTES = 1 << 14
LINGER_SECONDS = 2.0
"""How long what still arrives is read and dropped after an answer that did not wait for it.
Closing at once would reset the connection, and the client could lose the answer."""


class LingeringTransport:
    """A transport that closes once the rest of the request has arrived, or soon.

    Writes of one turn of the event loop are joined. uvicorn writes the head and the body of a
    response apart, and uvloop sends each at once: two system calls here, and two wake-ups of the
    client.

    Args:
        transport: the transport of the connection.
        protocol: knows whether the request has arrived whole.
    """

    def __init__(self, transport: asyncio.Transport, protocol: Limited) -> None:
        self._transport = transport
        self._protocol = protocol
        self._closing = False
        self._unsent: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write at the end of this turn of the event loop, or before closing."""
        if not self._unsent:
            self._protocol.loop.call_soon(self._send)
        self._unsent.append(data)

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        if unsent and not self._transport.is_closing():
            self._transport.write(b"".join(unsent))

    def is_closing(self) -> bool:
        """Whether nothing more is answered."""
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Close, after what was written."""
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
    """Bounds a request's head, the time in which it arrives, and what its body hides.

    uvicorn itself waits for ever for a head, and takes heads and trailers of any size. Here a head
    above `HEAD_BYTES` is answered 431, trailers are dropped and bounded likewise, and a connection
    on which a request was answered before it had arrived is closed, its answer readable.
    """

    head_seconds: float

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.whole = True
        self._in_head = True
        self._head = self._named = self._around = self._content = 0
        self._late: asyncio.TimerHandle | None = None
        self._over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(LingeringTransport(transport, self))  # pyright: ignore[reportArgumentType]
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), FED_BYTES):
            if self._over or self.transport.is_closing():
                return  # dropped
            part = data[start : start + FED_BYTES]
            if self._in_head:
                self._head += len(part)
            else:
                self._around += len(part)
            super().data_received(part)
            limit = HEAD_BYTES + FRAMING * self._content
            if (self._in_head and self._head > HEAD_BYTES) or self._around > limit:
                self._refuse()
        if self._in_head and self._late is None and self.cycle_is_over():
            # Blank lines between requests are no request: they end the wait for one no later.
            self._wait()

    def cycle_is_over(self) -> bool:
        """Whether nothing is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.whole, self._in_head = False, True
        self._named = self._around = self._content = 0
        self._wait()

    def on_url(self, url: bytes) -> None:
        self._counted(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            self._counted(len(name) + len(value) + 4)
            if not self._over:
                super().on_header(name, value)
        # Trailers are nobody's business here; their size is counted where data comes in.

    def on_headers_complete(self) -> None:
        self._arrived()
        if not self._over:
            self._in_head = False
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._over:
            return
        self._content += len(body)
        self._around -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._over:
            return
        self.whole, self._in_head, self._head = True, True, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if not self.whole:
            self.transport.close()
        super().on_response_complete()

    def _counted(self, size: int) -> None:
        self._named += size
        if self._named > HEAD_BYTES:
            self._refuse()

    def _refuse(self) -> None:
        """Answer 431 where that can be read, and close."""
        if self._over:
            return
        self._over = True
        self._arrived()
        # A head's own request is not in `cycle` yet; a body's is, and is not answered any longer.
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

    def _wait(self) -> None:
        self._arrived()
        self._late = self.loop.call_later(self.head_seconds, self.transport.close)

    def _arrived(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def limited(seconds: float) -> type[Limited]:
    """Return the protocol for heads that must arrive in so many seconds."""

    class Bound(Limited):
        head_seconds = seconds

    return Bound
