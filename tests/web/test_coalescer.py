"""Batches, the queue's bound and the deadline, without any HTTP."""

import asyncio
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from nearfar.core.ranking import Ranking
from nearfar.core.vocabulary import Vocabulary
from nearfar.web.catalogue import Catalogue
from nearfar.web.coalescer import Coalescer
from nearfar.web.limits import Limits
from nearfar.web.metrics import Metrics
from nearfar.web.problems import ProblemError
from nearfar.web.served import Served
from nearfar.web.work import Wanted

LIMITS = Limits(batch_users=4, queue_users=8, wait_seconds=0.01, deadline_seconds=5)
NOTHING = np.empty(0, np.int64)


class Echo:
    """A scorer that recommends the one item of the history, and notes how it was called."""

    version, runtime = "1", "none"
    abilities = frozenset()
    anchors = None

    def __init__(self, seconds: float = 0.0) -> None:
        self.about = {}
        self.items = Vocabulary(list(range(100)))
        self.popularity = np.ones(100, np.int64)
        self.seconds = seconds
        self.batches: list[int] = []
        self.threads: set[int] = set()

    def top_k(self, histories, k, exclude=None) -> Ranking:
        time.sleep(self.seconds)
        self.batches.append(histories.shape[0])
        self.threads.add(threading.get_ident())
        return Ranking(
            histories.indices[:, None].astype(np.int64), np.ones((len(histories.indices), 1))
        )


def served(scorer: Echo, name: str = "echo") -> Served:
    return Served(name, scorer, Catalogue(scorer.items, scorer.popularity))  # pyright: ignore


def asking(item: int) -> list[Wanted]:
    return [Wanted(np.array([item]), NOTHING, 1)]


def run(limits: Limits, asked) -> object:
    async def inside():
        coalescer = Coalescer(limits, Metrics())
        coalescer.start()
        try:
            return await asked(coalescer)
        finally:
            await coalescer.stop()

    return asyncio.run(inside())


def test_everybody_gets_their_own_and_batches_are_bounded() -> None:
    scorer = Echo(0.01)
    model = served(scorer)

    async def many(coalescer):
        first = [coalescer.rank(model, asking(i)) for i in range(8)]
        return await asyncio.gather(*first)

    found = run(LIMITS, many)
    assert [f[0].items.tolist() for f in found] == [[i] for i in range(8)]  # pyright: ignore
    assert scorer.batches == [4, 4]
    assert len(scorer.threads) == 1
    assert threading.get_ident() not in scorer.threads


def test_two_models_do_not_share_a_batch_and_order_is_kept() -> None:
    one, other = Echo(), Echo()
    a, b = served(one, "a"), served(other, "b")

    async def mixed(coalescer):
        return await asyncio.gather(
            *(coalescer.rank((a, b)[i % 2], asking(i)) for i in range(6)),
            coalescer.call(lambda x: x + 1, 41),
        )

    *found, called = run(LIMITS, mixed)  # pyright: ignore
    assert [f[0].items[0] for f in found] == list(range(6))
    assert called == 42
    assert (one.batches, other.batches) == ([3], [3])


def test_who_finds_the_queue_full_is_refused_at_once_and_the_others_are_served() -> None:
    model = served(Echo(0.05))

    async def flood(coalescer):
        started = time.perf_counter()
        tasks = [asyncio.ensure_future(coalescer.rank(model, asking(i))) for i in range(30)]
        await asyncio.sleep(0)
        refused = [t for t in tasks if t.done() and t.exception()]
        assert time.perf_counter() - started < 0.04
        rest = await asyncio.gather(*tasks, return_exceptions=True)
        return refused, rest

    refused, rest = run(LIMITS, flood)  # pyright: ignore
    assert len(refused) == 30 - LIMITS.queue_users
    problems = [r for r in rest if isinstance(r, ProblemError)]
    assert len(problems) == len(refused)
    assert {(p.status, p.headers["Retry-After"]) for p in problems} == {(429, "1")}


def test_a_request_larger_than_the_queue_is_let_in_when_nothing_waits() -> None:
    model = served(Echo())

    async def large(coalescer):
        return await coalescer.rank(model, [w for i in range(20) for w in asking(i)])

    assert [f.items[0] for f in run(LIMITS, large)] == list(range(20))  # pyright: ignore


def test_the_deadline_is_kept_while_scoring_and_while_waiting() -> None:
    scorer = Echo(0.3)
    model = served(scorer)

    async def late(coalescer):
        started = time.perf_counter()
        tasks = [asyncio.ensure_future(coalescer.rank(model, asking(i))) for i in range(6)]
        found = await asyncio.gather(*tasks, return_exceptions=True)
        seconds = time.perf_counter() - started
        await asyncio.sleep(0.5)
        return found, seconds

    found, seconds = run(replace(LIMITS, deadline_seconds=0.1), late)  # pyright: ignore
    assert {f.status for f in found} == {504}
    assert seconds < 0.28
    # Those that waited were dropped: only the first batch was ever scored.
    assert scorer.batches == [4]


def test_a_batch_handed_ahead_is_dropped_too_when_its_deadline_passes() -> None:
    scorer = Echo(0.3)
    model = served(scorer)

    async def late(coalescer):
        tasks = [asyncio.ensure_future(coalescer.rank(model, asking(i))) for i in range(8)]
        await asyncio.sleep(0.05)
        assert coalescer._n_waiting == 0  # both batches are the scoring thread's
        found = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.5)
        return found

    found = run(replace(LIMITS, deadline_seconds=0.1), late)
    assert {f.status for f in found} == {504}  # pyright: ignore
    assert scorer.batches == [4]


def test_the_next_batch_goes_ahead_only_when_it_is_whole() -> None:
    scorer, scoring, go_on = Echo(), threading.Event(), threading.Event()
    model, top_k = served(scorer), scorer.top_k

    def held(*arguments):
        scoring.set()
        go_on.wait(10)
        return top_k(*arguments)

    scorer.top_k = held  # pyright: ignore

    async def trickle(coalescer):
        def ask(item: int):
            return asyncio.ensure_future(coalescer.rank(model, asking(item)))

        tasks = [ask(0)]
        await asyncio.to_thread(scoring.wait, 10)
        waiting = []
        for item in range(1, 8):
            tasks.append(ask(item))
            await asyncio.sleep(0.01)
            waiting.append(coalescer._n_waiting)
        go_on.set()
        await asyncio.gather(*tasks)
        return waiting

    # Of four one goes to the thread, then none: it has two.
    assert run(LIMITS, trickle) == [1, 2, 3, 0, 1, 2, 3]
    assert scorer.batches == [1, 4, 3]


def test_a_failing_batch_fails_alone() -> None:
    good, bad = Echo(), Echo()
    bad.top_k = lambda *_: 1 / 0  # pyright: ignore

    async def both(coalescer):
        with pytest.raises(ZeroDivisionError):
            await coalescer.rank(served(bad), asking(1))
        return await coalescer.rank(served(good), asking(2))

    assert run(LIMITS, both)[0].items.tolist() == [2]  # pyright: ignore
