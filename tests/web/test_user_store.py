"""Stored recommendations under load, with impossible ids, and while the store is away."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from nearfar.core.errors import DataError
from nearfar.store.reader import Reader, StoredRecommendation, UnreachableError
from nearfar.store.sinks.sink import RecommendationSink
from nearfar.web import user_store
from nearfar.web.metrics import Metrics
from nearfar.web.settings import Limits, ServiceSettings
from nearfar.web.user_store import StoreBusyError, StoreDownError, StoredRecommendations
from tests.store.cases import sink_of
from tests.web.cases import Answering, bundles, pass_seconds

DAY = date(2026, 3, 2)
KINDS = ["parquet", "sqlite", "postgres"]
IMPOSSIBLE = ["\0", "a\0b", "x" * 1025, "\ud800", ""]
WAIT_SECONDS, STUCK_SECONDS = 60.0, 100.0


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a read takes seconds; tests that need its end move the clock."""
    monkeypatch.setattr(user_store, "READ_SECONDS", 60.0)
    monkeypatch.setattr(user_store, "STUCK_SECONDS", STUCK_SECONDS)


@pytest.fixture(params=KINDS)
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> RecommendationSink:
    url = request.getfixturevalue("postgres").url if request.param == "postgres" else None
    made = sink_of(request.param, tmp_path, url, f"stored_{tmp_path.name[-20:].lower()}")
    publish(made, DAY, "v1")
    return made


def publish(sink: RecommendationSink, day: date, version: str, n_users: int = 50) -> None:
    """Publish three recommendations for each user "u0", "u1" and so on."""
    users = [f"u{n}" for n in range(n_users) for _ in range(3)]
    rows = pl.DataFrame(
        {"user": users, "rank": [1, 2, 3] * n_users, "score": [0.5] * len(users),
         "item": [f"{user}-{version}-{rank}" for user, rank in zip(users, [1, 2, 3] * n_users,
                                                                  strict=True)]}
    )  # fmt: skip
    with sink.writing(day, version, scored_at=datetime(2026, 3, 3, tzinfo=UTC)) as writer:
        writer.write(rows)


def run(sink: RecommendationSink, ask: Callable[..., Any], **limits: Any) -> tuple[Any, float]:
    """What a coroutine over the service's store returns, and how many failures were counted."""
    metrics = Metrics()

    async def inside() -> Any:
        store = StoredRecommendations(
            sink, metrics, Limits(**{"deadline_seconds": 2 * WAIT_SECONDS, **limits})
        )
        try:
            async with asyncio.timeout(300):
                return await ask(store)
        finally:
            await store.close()

    found = asyncio.run(inside())
    return found, metrics.registry.get_sample_value("nearfar_store_failures_total") or 0


def items(found: Any) -> list[Any]:
    return [row.item for row in found.rows]


def test_a_reader_reads_what_the_sink_reads(sink: RecommendationSink) -> None:
    reader = sink.reader(5.0)
    try:
        assert reader.latest() == DAY
        found = reader.read(DAY, ["u3", "nobody", "u0", *IMPOSSIBLE])
        assert found is not None
        assert sorted(found) == ["u0", "u3"]
        whole = sink.read(DAY, "u3").select("rank", "item", "score", "model_version", "scored_at")
        assert found["u3"] == [StoredRecommendation(*row) for row in whole.iter_rows()]
        assert [row.rank for row in found["u3"]] == [1, 2, 3]
        assert reader.read(date(2020, 1, 1), ["u3"]) is None
        publish(sink, date(2026, 3, 4), "v2")
        assert reader.latest() == date(2026, 3, 4)
        sink.delete(date(2026, 3, 4))
        assert reader.read(date(2026, 3, 4), ["u3"]) is None
    finally:
        reader.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_of_a_sink_that_was_never_written(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres").url if kind == "postgres" else None
    reader = sink_of(kind, tmp_path, url, "never_written").reader(5.0)
    assert reader.latest() is None
    assert reader.read(DAY, ["u0"]) is None
    reader.close()


def test_impossible_ids_have_nothing_stored_and_cost_nobody_else(
    sink: RecommendationSink, tmp_path: Path
) -> None:
    async def mixed(store: StoredRecommendations) -> list[Any]:
        users = ["u1", *IMPOSSIBLE, "u2"] * 20
        return await asyncio.gather(*(store.of(user) for user in users))

    found, failures = run(sink, mixed)
    expected = ["u1-v1-1", *[None] * len(IMPOSSIBLE), "u2-v1-1"] * 20
    assert [f and f.rows[0].item for f in found] == expected
    assert failures == 0

    answering = Answering(ServiceSettings(bundles=bundles(tmp_path), threads=1, store=sink))

    async def over_http(client: Any) -> list[str]:
        sources = []
        for path in ("%00", "u1", "a%00b", "u1", "%ED%A0%80", "%FF", "u1"):
            answer = await client.get(f"/v1/users/{path}/recommendations")
            sources.append(answer.json()["source"])
        return sources

    sources = answering.run(over_http)
    assert sources == ["popular", "stored", "popular", "stored", "popular", "popular", "stored"]


def test_a_flood_is_answered_from_the_store_alone(sink: RecommendationSink) -> None:
    async def flood(store: StoredRecommendations) -> list[Any]:
        return await asyncio.gather(*(store.of(f"u{n % 50}") for n in range(1500)))

    found, failures = run(sink, flood, queue_users=1500)
    assert [items(f)[0] for f in found] == [f"u{n % 50}-v1-1" for n in range(1500)]
    assert failures == 0


def test_a_new_day_is_found_and_a_withdrawn_one_is_left(
    sink: RecommendationSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asked(store: StoredRecommendations) -> list[Any]:
        found = [(await store.of("u1")).rows[0].item]  # pyright: ignore
        monkeypatch.setattr(user_store, "DAYS_SECONDS", 0.0)
        store._known_until = 0.0
        await asyncio.to_thread(publish, sink, date(2026, 3, 3), "v2")
        found.append((await store.of("u1")).rows[0].item)  # pyright: ignore
        # The day is known for long, but is not published any longer.
        store._known_until = float("inf")
        await asyncio.to_thread(sink.delete, date(2026, 3, 3))
        found.append((await store.of("u1")).rows[0].item)  # pyright: ignore
        return found

    found, failures = run(sink, asked)
    assert found == ["u1-v1-1", "u1-v2-1", "u1-v1-1"]
    assert failures == 0


def test_a_connection_that_the_server_closed_is_opened_again(postgres: Any, tmp_path: Path) -> None:
    import psycopg

    sink = sink_of("postgres", tmp_path, postgres.url, "closed_by_server")
    publish(sink, DAY, "v1")

    async def asked(store: StoredRecommendations) -> list[Any]:
        before = await store.of("u1")
        with psycopg.connect(postgres.plain_url, autocommit=True) as other:
            killed = other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'nearfar' AND pid <> pg_backend_pid()"
            ).fetchall()
        assert killed
        return [before, await store.of("u1")]

    found, failures = run(sink, asked)
    assert [items(f)[0] for f in found] == ["u1-v1-1"] * 2
    assert failures == 0


def test_connections_are_kept(postgres: Any, tmp_path: Path) -> None:
    import psycopg

    sink = sink_of("postgres", tmp_path, postgres.url, "kept_open")
    publish(sink, DAY, "v1")
    query = "SELECT sum(sessions) FROM pg_stat_database"

    async def asked(store: StoredRecommendations) -> Any:
        for n in range(300):
            await store.of(f"u{n % 50}")

    with psycopg.connect(postgres.plain_url, autocommit=True) as other:
        opened = []
        other.execute("SELECT pg_stat_reset()")
        run(sink, asked)
        other.execute("SELECT pg_stat_clear_snapshot()")
        opened.append(other.execute(query).fetchone())
    assert opened[0] is not None
    assert int(opened[0][0] or 0) <= user_store.READERS + 2


@dataclass(eq=False)
class Scripted(Reader):
    """A reader of one user's day that does as it is told."""

    calls: list[list[str]] = field(default_factory=list)
    down: bool = False
    entered: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def latest(self) -> date | None:
        self.calls.append([])
        if self.down:
            raise UnreachableError("down")
        return DAY

    def read(self, day: date, users: Any) -> dict[str, list[StoredRecommendation]] | None:
        self.calls.append(list(users))
        self.entered.set()
        assert self.go_on.wait(60)
        if self.down:
            raise UnreachableError("down")
        if "poison" in users:
            raise DataError("bad id")
        return {user: [StoredRecommendation(1, user, 0.5, "v1", datetime(2026, 3, 3, tzinfo=UTC))]
                for user in users if user != "unknown"}  # fmt: skip


class OneReader:
    """A sink whose readers are all one."""

    def __init__(self, reader: Reader) -> None:
        self.made = reader

    def reader(self, seconds: float) -> Reader:
        return self.made


def scripted(**state: Any) -> tuple[Any, Scripted]:
    reader = Scripted(**state)
    return OneReader(reader), reader


def test_waiting_is_no_failure_and_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_store, "READERS", 1)
    sink, reader = scripted()

    async def flood(store: StoredRecommendations) -> Any:
        first = asyncio.ensure_future(store.of("first"))
        await asyncio.to_thread(reader.entered.wait, 60)
        rest = [asyncio.ensure_future(store.of(f"u{n}")) for n in range(12)]
        await asyncio.sleep(0)
        refused = [task.exception() for task in rest if task.done()]
        reader.go_on.set()
        return refused, await asyncio.gather(first, *rest, return_exceptions=True)

    (refused, found), failures = run(sink, flood, queue_users=8)
    assert [type(r) for r in refused] == [StoreBusyError] * 4
    assert [items(f)[0] for f in found[:9]] == ["first", *(f"u{n}" for n in range(8))]
    assert failures == 0
    # Those who waited were read by one query.
    assert reader.calls == [[], ["first"], [f"u{n}" for n in range(8)]]


def test_who_waits_too_long_is_told_so_and_the_store_is_not_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(user_store, "READERS", 1)
    sink, reader = scripted()

    async def slow(store: StoredRecommendations) -> Any:
        first, second = (asyncio.ensure_future(store.of(u)) for u in ("a", "b"))
        await asyncio.to_thread(reader.entered.wait, 60)
        pass_seconds(WAIT_SECONDS)
        found = await asyncio.gather(first, second, return_exceptions=True)
        reader.go_on.set()
        return found, await store.of("c")

    (late, after), failures = run(sink, slow)
    assert [type(error) for error in late] == [StoreBusyError] * 2
    assert items(after) == ["c"]
    assert failures == 0
    assert ["b"] not in reader.calls


def test_an_id_whose_read_fails_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_store, "READERS", 1)
    sink, reader = scripted()

    async def poisoned(store: StoredRecommendations) -> Any:
        first = asyncio.ensure_future(store.of("first"))
        await asyncio.to_thread(reader.entered.wait, 60)
        rest = [asyncio.ensure_future(store.of(user)) for user in ("a", "poison", "b")]
        await asyncio.sleep(0)
        reader.go_on.set()
        found = await asyncio.gather(first, *rest, return_exceptions=True)
        return [*found, await store.of("c")]

    found, failures = run(sink, poisoned)
    told = [type(f) if isinstance(f, Exception) else items(f)[0] for f in found]
    assert told == ["first", "a", StoreDownError, "b", "c"]
    assert failures == 1


def test_a_store_that_is_away_is_left_alone_longer_each_time_and_found_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sink, reader = scripted(down=True)
    reader.go_on.set()
    rests: list[float] = []
    sleep = asyncio.sleep

    async def sleeping(seconds: float) -> None:
        if seconds:
            rests.append(seconds)
            if len(rests) == 8:
                reader.down = False
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", sleeping)

    async def away(store: StoredRecommendations) -> Any:
        found = []
        for user in ("a", "b", "c"):
            try:
                await store.of(user)
            except StoreDownError as error:
                found.append(error)
        n_calls = len(reader.calls)
        while store._down:
            await sleep(0.001)
        return found, n_calls, await store.of("d")

    (found, n_calls, after), failures = run(sink, away)
    assert len(found) == 3
    assert n_calls == 1  # b and c did not touch it
    assert items(after) == ["d"]
    assert rests == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert failures == 8


def test_a_read_that_hangs_does_not_hold_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_store, "READERS", 1)
    monkeypatch.setattr(user_store, "FIRST_RETRY_SECONDS", 0.01)
    sink, reader = scripted()

    async def hanging(store: StoredRecommendations) -> Any:
        both = [asyncio.ensure_future(store.of(user)) for user in ("a", "b")]
        await asyncio.to_thread(reader.entered.wait, 60)
        pass_seconds(STUCK_SECONDS)
        found = await asyncio.gather(*both, return_exceptions=True)
        assert store._down
        reader.go_on.set()
        while store._down:
            await asyncio.sleep(0.001)
        return found, await store.of("c")

    (found, after), failures = run(sink, hanging, deadline_seconds=4 * STUCK_SECONDS)
    assert [type(error) for error in found] == [StoreDownError] * 2
    assert items(after) == ["c"]
    assert failures == 1


def test_a_busy_store_is_told_by_429_or_by_the_history(tmp_path: Path) -> None:
    histories = tmp_path / "histories.csv"
    histories.write_text("user,item\nknown,102\n")
    sink, reader = scripted()
    settings = ServiceSettings(
        bundles=bundles(tmp_path), threads=1, store=sink, histories=histories,
        limits=Limits(deadline_seconds=120, queue_users=1),
    )  # fmt: skip

    async def ask(client: Any) -> Any:
        waiting = []
        for n in range(user_store.READERS + 1):
            waiting.append(asyncio.ensure_future(client.get(f"/v1/users/w{n}/recommendations")))
            await asyncio.to_thread(reader.entered.wait, 60)
            reader.entered.clear() if n + 1 < user_store.READERS else None
        answering_store = answering.service.store
        assert answering_store is not None
        while len(answering_store._waiting) < 1:
            await asyncio.sleep(0.001)
        busy = [await client.get(f"/v1/users/{u}/recommendations") for u in ("known", "unknown")]
        reader.go_on.set()
        return busy, await asyncio.gather(*waiting)

    answering = Answering(settings)
    (known, unknown), waited = answering.run(ask)
    assert known.json()["source"] == "history"
    assert known.json()["reason"].startswith("more is asked of the store than it answers in time")
    assert (unknown.status_code, unknown.headers["retry-after"]) == (429, "1")
    assert {answer.json()["source"] for answer in waited} == {"stored"}


@pytest.mark.parametrize("user", ["a/b", "a//b", "/", "recommendations/x", "%2F", "a%2Fb"])
def test_ids_with_slashes(tmp_path: Path, user: str) -> None:
    sink = sink_of("sqlite", tmp_path, None, "r")
    from urllib.parse import unquote

    rows = pl.DataFrame({"user": [unquote(user)], "rank": [1], "item": ["x"], "score": [0.5]})
    with sink.writing(DAY, "v1") as writer:
        writer.write(rows)
    answering = Answering(ServiceSettings(bundles=bundles(tmp_path), threads=1, store=sink))
    answer = answering.ask("GET", f"/v1/users/{user}/recommendations?k=3")
    assert answer.json()["source"] == "stored"
    # Unknown parameters change nothing.
    answer = answering.ask("GET", f"/v1/users/{user}/recommendations?k=3&x=1")
    assert answer.json()["source"] == "stored"
