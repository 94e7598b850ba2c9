"""`nearfar serve` as a program on loopback: overload, slow and hostile clients, its end."""

import asyncio
import json
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from nearfar.cli.main import run
from tests.waiting import PATIENCE
from tests.web.cases import Program, bundles

pytestmark = pytest.mark.slow
TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(bundles(tmp_path_factory.mktemp("web"))["autoencoder"])


@pytest.fixture(scope="module")
def slow(bundle: str):
    """A batch of four takes .1 s more, eight may wait."""
    arguments = ["--bundle", bundle, "--batch", "4", "--queue", "8", "--body-seconds", "100"]
    arguments += ["--deadline", "100"]
    environment = {"SLOW_SECONDS": "0.1", "NEARFAR_TOKEN": TOKEN}
    with Program(*arguments, environment=environment) as program:
        yield program


@pytest.fixture(scope="module")
def hasty(bundle: str):
    """A request has three seconds to arrive: so many connections as to `slow` may need more."""
    arguments = ["--bundle", bundle, "--body-seconds", "3", "--deadline", "100"]
    with Program(*arguments, environment={"NEARFAR_TOKEN": TOKEN}) as program:
        yield program


BEARER = {"Authorization": f"Bearer {TOKEN}"}


def test_overload_gives_429_and_no_collapse(slow: Program) -> None:
    async def flood() -> list[tuple[int, float]]:
        options = {"limits": httpx.Limits(max_connections=40), "timeout": PATIENCE}
        async with httpx.AsyncClient(base_url=slow.url, headers=BEARER, **options) as client:

            async def one(number: int) -> tuple[int, float]:
                await asyncio.sleep(0.004 * number)
                started = time.perf_counter()
                response = await client.post("/v1/recommend", json={"items": [100 + number % 12]})
                if response.status_code == 429:
                    assert response.headers["retry-after"] == "1"
                    assert response.json()["type"].endswith(":queue-full")
                return response.status_code, time.perf_counter() - started

            return await asyncio.gather(*(one(n) for n in range(250)))

    answered = asyncio.run(flood())
    assert {status for status, _ in answered} == {200, 429}
    done = [seconds for status, seconds in answered if status == 200]
    # The queue's eight and a batch at least; on an idle machine 40 a second.
    assert len(done) >= 12
    # Who is let in waits for what is at work and for two batches before his own, at most.
    assert sorted(done)[len(done) // 2] < 100
    assert httpx.get(f"{slow.url}/readyz", timeout=PATIENCE).status_code == 200


def test_a_slow_body_is_cut_off_and_others_are_served_meanwhile(hasty: Program) -> None:
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=PATIENCE) as client:
        head = f"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        client.sendall(
            f"{head}Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{{".encode()
        )
        answer = httpx.post(f"{hasty.url}/v1/recommend", json={}, headers=BEARER, timeout=PATIENCE)
        assert answer.status_code == 200
        assert client.recv(4096).startswith(b"HTTP/1.1 408")


def test_a_slow_head_is_cut_off(hasty: Program) -> None:
    address = ("127.0.0.1", hasty.port)
    with (
        socket.create_connection(address, timeout=PATIENCE) as silent,
        socket.create_connection(address, timeout=PATIENCE) as halting,
    ):
        halting.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        assert silent.recv(4096) == halting.recv(4096) == b""


def test_huge_bodies_are_refused_unread(slow: Program) -> None:
    with socket.create_connection(("127.0.0.1", slow.port), timeout=PATIENCE) as client:
        head = f"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        client.sendall(f"{head}Content-Length: 99999999999999\r\n\r\n".encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 413")
    with httpx.Client(base_url=slow.url, headers=BEARER, timeout=PATIENCE) as client:
        answer = client.post("/v1/recommend", content=b"[" + b"1," * 3_000_000)
        assert answer.status_code == 413


def test_what_is_no_http_is_answered_400(slow: Program) -> None:
    with socket.create_connection(("127.0.0.1", slow.port), timeout=PATIENCE) as client:
        client.sendall(b"\x16\x03\x01 not http\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 400")


def test_a_wrong_token_and_nothing_leaks(slow: Program) -> None:
    answer = httpx.post(
        f"{slow.url}/v1/recommend", json={}, headers={"Authorization": "Bearer x"},
        timeout=PATIENCE,
    )  # fmt: skip
    assert answer.status_code == 401
    assert TOKEN not in "\n".join(slow.lines)
    assert "server" not in answer.headers


def test_requests_at_work_are_answered_before_it_stops(bundle: str) -> None:
    arguments = ("--bundle", bundle, "--batch", "1", "--deadline", "60")
    with Program(*arguments, environment={"SLOW_SECONDS": "1.5"}) as program:
        with ThreadPoolExecutor(3) as pool:
            answers = [
                pool.submit(httpx.post, f"{program.url}/v1/recommend", json={}, timeout=PATIENCE)
                for _ in range(3)
            ]
            # One is scored, one is the scoring thread's next, one waits.
            program.until(lambda: "nearfar_queue_users 1.0" in program.get("/metrics").text)
            code = program.stop()
        assert [a.result().status_code for a in answers] == [200] * 3
        assert code in (-signal.SIGTERM, 128 + signal.SIGTERM)
        events = [line["event"] for line in program.log()]
        assert events[-1] == "stopped"
        assert not any("error" in line for line in program.log())


def test_wrong_usage_is_told_in_one_line(bundle: str, tmp_path: Path, capsys) -> None:
    assert run(["serve"]) == 2
    assert "--bundle" in capsys.readouterr().err
    assert run(["serve", "--bundle", bundle, "--registry", str(tmp_path)]) == 1
    assert "give either bundles" in capsys.readouterr().err
    assert run(["serve", "--bundle", str(tmp_path / "nix")]) == 1
    assert "does not exist" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["serve", "--bundle", bundle, "--port", str(port)]) == 1
    assert "cannot listen" in capsys.readouterr().err
    os.environ.pop("NOT_THERE", None)
    store = "postgresql://u:${NOT_THERE}@localhost/x"
    assert run(["serve", "--bundle", bundle, "--store", store]) == 1
    assert "NOT_THERE is not set" in capsys.readouterr().err


def test_a_store_that_is_down_costs_no_request(bundle: str) -> None:
    store = "postgresql://nobody:secret-word@127.0.0.1:9/none"
    with Program("--bundle", bundle, "--store", store, "--deadline", "100") as program:
        answer = httpx.get(f"{program.url}/v1/users/7/recommendations", timeout=PATIENCE)
        assert answer.status_code == 200
        assert answer.json()["reason"].startswith("the store cannot be read now")
        program.stop()
        failed = [line for line in program.log() if line["event"] == "store-failed"]
        assert failed[0]["error"] == "UnreachableError"
        assert "secret-word" not in json.dumps(program.log()) + answer.text
