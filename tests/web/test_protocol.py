"""Requests that are too large or too slow before anybody asks for a token: over real sockets."""

import asyncio
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from nearfar.web import protocol, server
from nearfar.web.app import make_app
from nearfar.web.service import Service
from nearfar.web.settings import Limits, ServiceSettings
from tests.waiting import PATIENCE
from tests.web.cases import bundles

TOKEN = "a-token-of-some-length"
SECONDS = PATIENCE


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    made = Service(
        ServiceSettings(
            bundles=bundles(tmp_path_factory.mktemp("web")), threads=1, token=TOKEN,
            limits=Limits(body_bytes=1 << 18, body_seconds=SECONDS),
        )
    )  # fmt: skip
    made.load()
    return made


def talk(
    service: Service, ask: Callable[[int, list[Any]], Any], head_seconds: float = SECONDS
) -> Any:
    """What a function returns, called in a thread with the port and the protocols made so far."""
    made: list[protocol.Limited] = []

    class Noted(protocol.limited(head_seconds)):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            made.append(self)

    async def inside() -> Any:
        config = uvicorn.Config(
            make_app(service), http=Noted, ws="none", lifespan="on", log_config=None,
            server_header=False,
        )  # fmt: skip
        listener = socket.create_server(("127.0.0.1", 0))
        served = uvicorn.Server(config)
        task = asyncio.ensure_future(served.serve([listener]))
        try:
            async with asyncio.timeout(2 * SECONDS):
                while not served.started:
                    await asyncio.sleep(0.005)
                return await asyncio.to_thread(ask, listener.getsockname()[1], made)
        finally:
            served.should_exit = True
            await task

    return asyncio.run(inside())


def everything(client: socket.socket) -> bytes:
    """All that comes until the other side closes; an error where the connection is reset."""
    parts = []
    while part := client.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def sent(port: int, *parts: bytes, then: Callable[[socket.socket], Any] = everything) -> Any:
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as client:
        for part in parts:
            client.sendall(part)
        return then(client)


GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
CHUNKED = (
    b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer " + TOKEN.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
)


@pytest.mark.parametrize(
    "head",
    [
        GET + b"X: " + b"a" * 70_000,
        GET + b"X: " + b"a" * (1 << 20) + b"\r\n\r\n",
        GET + b"".join(b"X%d: a\r\n" % n for n in range(100_000)) + b"\r\n",
        b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        GET + b"X" * 70_000,
    ],
    ids=["unfinished", "one-header", "many-headers", "url", "name"],
)
def test_a_head_that_is_too_large_is_answered_431(service: Service, head: bytes) -> None:
    answer = talk(service, lambda port, _: sent(port, head))
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"urn:problem-type:nearfar:head-too-large" in answer


def test_a_large_head_that_is_allowed_is_answered(service: Service) -> None:
    head = GET + b"X: " + b"a" * 60_000 + b"\r\nConnection: close\r\n\r\n"
    assert talk(service, lambda port, _: sent(port, head)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("kind", ["many", "one", "extension", "framing"])
def test_trailers_and_extensions_are_dropped_and_bounded(service: Service, kind: str) -> None:
    many = [b"2\r\n{}\r\n0\r\n", *(b"T%d: a\r\n" % n for n in range(40_000))]
    parts = {
        "many": many,
        "one": [b"2\r\n{}\r\n0\r\nT: ", *[b"a" * 10_000] * 40],
        "extension": [b"2;x=", *[b"a" * 10_000] * 40],
        "framing": [b"2\r\n{}\r\n0", b"0" * 400_000],
    }[kind]
    kept: list[int] = []

    def ask(port: int, made: list[Any]) -> bytes:
        def then(client: socket.socket) -> bytes:
            found = everything(client)
            kept.extend(len(one.headers) for one in made)
            return found

        return sent(port, CHUNKED, b"".join(parts), then=then)

    answer = talk(service, ask)
    assert re.match(rb"HTTP/1.1 4(31|00) ", answer)
    assert max(kept) < 10


def test_trailers_that_are_small_cost_no_request(service: Service) -> None:
    body = b"2\r\n{}\r\n0\r\nT: a\r\n\r\n"
    answers = talk(
        service,
        lambda port, _: sent(
            port, CHUNKED + body, CHUNKED.replace(b"Host", b"Connection: close\r\nHost") + body
        ),
    )
    assert answers.count(b"HTTP/1.1 200") == 2
    assert b"HTTP/1.1 431" not in answers


def test_a_body_in_chunks_of_a_byte_is_taken(service: Service) -> None:
    body = b'{"items": [' + b" " * 30_000 + b"]}"
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    asked = CHUNKED.replace(b"Host", b"Connection: close\r\nHost") + chunks
    assert talk(service, lambda port, _: sent(port, asked)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("status", "bearer"), [(401, "wrong"), (413, TOKEN)])
def test_an_answer_that_did_not_wait_for_the_body_can_be_read(
    service: Service, status: int, bearer: str
) -> None:
    def ask(port: int, _: Any) -> list[httpx.Response]:
        content = b"[" + b"1," * 2_000_000
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{port}/v1/recommend"
        return [
            httpx.post(url, content=content, headers=headers, timeout=SECONDS),
            httpx.post(url, content=iter([content]), headers=headers, timeout=SECONDS),
        ]

    answers = talk(service, ask)
    assert [answer.status_code for answer in answers] == [status] * 2
    assert {answer.headers["connection"] for answer in answers} == {"close"}
    # A client that sends on and on finds the connection closed.
    head = CHUNKED.replace(TOKEN.encode(), bearer.encode())

    def endless(port: int, _: Any) -> int:
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as client:
            client.sendall(head)
            n_sent = 0
            try:
                while n_sent < 1 << 33:
                    n_sent += client.send(b"1000\r\n" + b" " * 4096 + b"\r\n")
            except OSError:
                return n_sent
        raise AssertionError("the connection was never closed")

    assert talk(service, endless) > 0


@pytest.mark.parametrize("before", [b"", GET + b"\r\n"], ids=["first", "after-an-answer"])
def test_blank_lines_do_not_keep_a_connection_open(service: Service, before: bytes) -> None:
    def dripping(port: int, _: Any) -> int:
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as client:
            client.sendall(before)
            client.settimeout(0.05)
            for n in range(2000):
                try:
                    client.sendall(b"\r\n")
                    if before:
                        if client.recv(1 << 16) == b"":
                            return n
                    elif client.recv(16) == b"":
                        return n
                except TimeoutError:
                    continue
                except OSError:
                    return n
        raise AssertionError("the connection was never closed")

    assert talk(service, dripping, head_seconds=0.5) < 2000


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/", "/openapi.json", "/v1/model"])
def test_head_is_get_without_a_body(service: Service, path: str) -> None:
    def ask(port: int, _: Any) -> list[httpx.Response]:
        url, headers = f"http://127.0.0.1:{port}{path}", {"Authorization": f"Bearer {TOKEN}"}
        with httpx.Client(headers=headers, timeout=SECONDS) as client:
            return [client.head(url), client.get(url)]

    head, get = talk(service, ask)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize(
    ("host", "token", "warned"),
    [("0.0.0.0", None, True), ("127.0.0.1", None, False), ("0.0.0.0", TOKEN, False)],
)
def test_who_serves_everybody_without_a_token_is_warned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, token: str | None, warned: bool
) -> None:
    told: list[str] = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: None)
    monkeypatch.setattr(server, "log", lambda event, *rest, **fields: told.append(event))
    for name in ("freeze", "set_threshold"):
        monkeypatch.setattr(server.gc, name, lambda *_: None)
    monkeypatch.setattr(server.sys, "setswitchinterval", lambda _: None)
    server.serve(ServiceSettings(bundles=bundles(tmp_path), threads=1, token=token), host, 0)
    assert ("open-to-all" in told) == warned


def test_writes_of_one_turn_are_sent_together_and_none_is_lost_by_closing() -> None:
    sent: list[bytes] = []
    closed: list[int] = []

    class Transport:
        def write(self, data: bytes) -> None:
            sent.append(data)

        def is_closing(self) -> bool:
            return bool(closed)

        def close(self) -> None:
            closed.append(len(sent))

    class Whole:
        whole = True
        loop = None

    async def inside() -> None:
        Whole.loop = asyncio.get_running_loop()
        transport = protocol.LingeringTransport(Transport(), Whole())  # pyright: ignore
        transport.write(b"head ")
        transport.write(b"body")
        assert sent == []
        await asyncio.sleep(0)
        assert sent == [b"head body"]
        transport.write(b"last")
        transport.close()
        transport.write(b"too late")
        await asyncio.sleep(0)

    asyncio.run(inside())
    assert (sent, closed) == ([b"head body", b"last"], [2])
