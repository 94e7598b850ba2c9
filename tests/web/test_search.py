"""Titles found by their beginning, their words, their letters; never by a look at all of them."""

import asyncio
import random
import re
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from rapidfuzz import fuzz

from nearfar.bundle import title_search
from nearfar.bundle import titles as titles_module
from nearfar.bundle.folder import save_bundle
from nearfar.bundle.title_search import TitleSearch, folded
from nearfar.core.vocabulary import Vocabulary
from nearfar.web import catalogue as catalogue_module
from nearfar.web.catalogue import Catalogue
from nearfar.web.settings import Limits, ServiceSettings
from tests.web.cases import Answering, film_bundle, pass_seconds

TEXT = (
    "the of love man night story day star wars toy heat amélie wall·e straße über 愛 кот it's 12 "
    "l'été rock'n'roll matrix reloaded godfather part ii ii. x9"
)
WORDS = TEXT.split()


def made_titles(n: int, seed: int = 0) -> list[str | None]:
    rng = random.Random(seed)
    titles: list[str | None] = []
    for _ in range(n):
        words = [rng.choice(WORDS) for _ in range(rng.randint(1, 5))]
        title = rng.choice([" ", "  ", "-", ": "]).join(words)
        titles.append(
            None if rng.random() < 0.05 else title.title() if rng.random() < 0.5 else title
        )
    return titles


@cache
def plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", folded(text)))


def slowly(titles: list[str | None], popularity: np.ndarray, query: str, limit: int) -> list[int]:
    """Look at all titles: that begin with the text, have a word that does, or hold it."""
    text = plain(query)
    order = [p for p in np.argsort(-popularity, kind="stable").tolist() if titles[p] is not None]
    classes: list[list[int]] = [[], [], []]
    for position in order:
        title = plain(str(titles[position]))
        if title.startswith(text):
            classes[0].append(position)
        elif f" {text}" in title:
            classes[1].append(position)
        elif text in title:
            classes[2].append(position)
    return [p for one in classes for p in one][:limit] if text else []


@pytest.mark.parametrize("n", [1, 2, 37, 3000])
def test_the_same_as_a_look_at_all_titles(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(title_search, "CHUNK", 3)
    monkeypatch.setattr(title_search, "BUILD_TITLES", 500)
    titles = made_titles(n)
    popularity = np.random.default_rng(0).integers(0, 50, n)
    search, rng = TitleSearch(titles, popularity), random.Random(1)
    queries = ["a", "x", "q", "愛", "к", "ii", "the", "the of", " ", "·", "9", "12 ", "story  DAY"]
    for _ in range(300):
        title = str(titles[rng.randrange(n)] or "none")
        start = rng.randrange(len(title))
        queries.append(title[start : start + rng.randint(1, 12)])
    for query in queries:
        for limit in (1, 3, 20):
            expected = slowly(titles, popularity, query, limit)
            assert search.find(query, limit, near=False) == expected, query
            assert search.find(query, limit)[: len(expected)] == expected, query


def test_near_titles_come_by_likeness_then_popularity() -> None:
    titles = ["Toy Story", "Toy Story", "Fargo", "The Godfather", None, "Toy Soldiers"]
    search = TitleSearch(titles, np.array([1, 5, 3, 2, 9, 1]))
    assert search.find("tyo stoyr", 5)[:2] == [1, 0]
    assert search.find("godfahter", 5)[0] == 3
    assert search.find("tyo stoyr", 1) == [1]
    found = [str(titles[p]) for p in search.find("tyo stoyr", 9)]
    assert all(fuzz.WRatio("tyo stoyr", title.lower()) >= 69.5 for title in found)


def test_of_no_titles_none_is_found() -> None:
    for untitled in ([], [None, None]):
        assert TitleSearch(untitled, np.zeros(len(untitled), int)).find("toy", 3) == []


@pytest.mark.slow
def test_a_title_of_a_million_is_found_in_less_than_20_ms_of_processor_time() -> None:
    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlucmfwypvbgkjqxz", k=rng.randint(2, 9)))
             for _ in range(30_000)] + ["the", "of", "and"] * 3000  # fmt: skip
    titles = [" ".join(rng.choices(words, k=rng.randint(1, 7))) for _ in range(1_000_000)]
    search = TitleSearch(titles, np.arange(len(titles)))
    search.find("warm up", 10)
    seconds, found, n = [], 0, 300
    for _ in range(n):
        title = rng.choice([t for t in rng.sample(titles, 50) if len(t) > 8])
        at = rng.randrange(1, len(title) - 2)
        mistyped = title[:at] + title[at + 1] + title[at] + title[at + 2 :]
        before = time.thread_time()
        positions = search.find(mistyped, 10)
        seconds.append(time.thread_time() - before)
        found += any(titles[p] == title for p in positions)
    assert found >= 0.9 * n
    # The median, since memory that others use costs processor time too.
    assert np.median(seconds) < 0.02


class Slow(TitleSearch):
    """A search that counts, and takes as long as it is told."""

    near_calls = 0
    calls: list[str]
    seconds = 0.0
    before: Callable[[], object] = staticmethod(lambda: None)

    def find(self, query: str, limit: int, *, near: bool = True) -> list[int]:
        Slow.near_calls += near
        Slow.calls.append(query)
        Slow.before()
        return super().find(query, limit, near=near)


@pytest.fixture
def films(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Answering:
    monkeypatch.setattr(titles_module, "TitleSearch", Slow)
    Slow.near_calls, Slow.calls, Slow.before = 0, [], staticmethod(lambda: None)
    path = save_bundle(film_bundle(), tmp_path / "films")
    limits = Limits(deadline_seconds=60, queue_users=2)
    return Answering(ServiceSettings(bundles={"films": path}, threads=1, limits=limits))


def test_only_some_titles_of_a_request_are_compared_letter_by_letter(films: Answering) -> None:
    titles = [f"tpy story{n}" for n in range(99)] + ["heat"]
    body = films.post("/v1/recommend", {"titles": titles}).json()
    assert Slow.near_calls == catalogue_module.MAX_NEAR
    assert [h["title"] for h in body["history"]] == ["Heat (1995)"]
    assert len(body["unmatched"]) == 99
    assert body["unmatched"][0]["candidates"]
    assert not body["unmatched"][98]["candidates"]


def test_searches_wait_in_a_bounded_queue_and_no_other_request_waits(films: Answering) -> None:
    import threading

    entered, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert go_on.wait(60)

    Slow.before = staticmethod(hold)

    async def flood(client: Any) -> Any:
        first = asyncio.ensure_future(client.get("/v1/items?query=toy"))
        assert await asyncio.to_thread(entered.wait, 60)
        # One is handed ahead, two wait.
        lookups = films.service.lookups._queue
        rest = [asyncio.ensure_future(client.get("/v1/items?query=toy"))]
        async with asyncio.timeout(60):
            while len(lookups._submitted) < 2:
                await asyncio.sleep(0.001)
            rest += [asyncio.ensure_future(client.get("/v1/items?query=toy")) for _ in range(2)]
            while lookups._n_waiting < 2:
                await asyncio.sleep(0.001)
        refused = await client.get("/v1/items?query=toy")
        others = [await client.get("/healthz"), await client.post("/v1/recommend", json={})]
        go_on.set()
        return refused, others, await asyncio.gather(first, *rest)

    refused, others, answered = films.run(flood)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert [answer.status_code for answer in others] == [200, 200]
    assert [answer.status_code for answer in answered] == [200] * 4


def test_a_search_is_under_the_deadline(films: Answering) -> None:
    import threading
    from dataclasses import replace

    entered, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert go_on.wait(60)

    Slow.before = staticmethod(hold)
    limits = Limits(deadline_seconds=300, queue_users=50)
    late = Answering(replace(films.service.settings, limits=limits))

    async def ask(client: Any) -> Any:
        titles = [f"nothing {n}" for n in range(50)]
        body = {"titles": titles}
        asked = [client.get("/v1/items?query=toy"), client.post("/v1/recommend", json=body)]
        tasks = [asyncio.ensure_future(each) for each in asked]
        assert await asyncio.to_thread(entered.wait, 60)
        async with asyncio.timeout(60):
            while len(late.service.lookups._queue._submitted) < 2:
                await asyncio.sleep(0.001)
        pass_seconds(limits.deadline_seconds)
        found = await asyncio.gather(*tasks)
        go_on.set()
        return found

    assert [answer.status_code for answer in late.run(ask)] == [504, 504]
    # What had not begun by its deadline was never begun.
    assert len(Slow.calls) == 1


def test_a_search_stops_when_its_client_has_left(films: Answering) -> None:
    import threading

    entered, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert go_on.wait(60)

    Slow.before = staticmethod(hold)
    titles = [f"nothing {n}" for n in range(90)]

    async def leave(client: Any) -> Any:
        catalogue = films.service.models.get(None).catalogue
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        task = asyncio.ensure_future(
            films.service.lookups.call(receive, None, catalogue.match, titles)
        )
        assert await asyncio.to_thread(entered.wait, 60)
        gone.set()
        found = await asyncio.gather(task, return_exceptions=True)
        go_on.set()
        after = await client.get("/v1/items?query=toy")
        return found[0], after

    error, after = films.run(leave)
    assert error.name == "disconnected"
    assert after.status_code == 200
    # The one that had begun, and the search that came after.
    assert Slow.calls == ["nothing 0", "toy"]


def test_the_catalogue_finds_ids_too() -> None:
    items = Vocabulary(["7", "b"])
    assert Catalogue(items, np.ones(2, int)).search(lambda: True, "b", 3) == [1]
