"""Batches, the queue's bound and the deadline, without any HTTP."""

import asyncio
import threading
from dataclasses import replace

import numpy as np
import pytest

from nearfar.core.ranking import Ranking
from nearfar.core.vocabulary import Vocabulary
from nearfar.web.catalogue import Catalogue
from nearfar.web.metrics import Metrics
from nearfar.web.micro_batcher import MicroBatcher
from nearfar.web.problems import ProblemError
from nearfar.web.scoring import ScoringRequest
from nearfar.web.served_models import ServedModel
from nearfar.web.settings import Limits
from tests.web.cases import pass_seconds

LIMITS = Limits(batch_users=4, queue_users=8, wait_seconds=0.01, deadline_seconds=300)
NOTHING = np.empty(0, np.int64)


class Echo:
    """A scorer that recommends the one item of the history, and notes how it was called."""

    version, runtime = "1", "none"
    abilities = frozenset()
    anchors = None

    def __init__(self) -> None:
        self.metadata = {}
        self.items = Vocabulary(list(range(100)))
        self.max_k = None
        self.index_k = 0
        self.popularity = np.ones(100, np.int64)
        self.batches: list[int] = []
        self.scored: list[int] = []
        self.threads: set[int] = set()

    def top_k(self, histories, k, exclude=None) -> Ranking:
        self.batches.append(histories.shape[0])
        self.scored += histories.indices.tolist()
        self.threads.add(threading.get_ident())
        return Ranking(
            histories.indices[:, None].astype(np.int64), np.ones((len(histories.indices), 1))
        )


class Held(Echo):
    """A scorer that begins, says so, and waits until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.scoring, self.go_on = threading.Event(), threading.Event()

    def top_k(self, histories, k, exclude=None) -> Ranking:
        self.scoring.set()
        assert self.go_on.wait(60)
        return super().top_k(histories, k, exclude)


def served(scorer: Echo, name: str = "echo") -> ServedModel:
    return ServedModel(name, scorer, Catalogue(scorer.items, scorer.popularity))  # pyright: ignore


def asking(item: int) -> list[ScoringRequest]:
    return [ScoringRequest(np.array([item]), NOTHING, 1)]


def run(limits: Limits, asked) -> object:
    async def inside():
        batcher = MicroBatcher(limits, Metrics())
        batcher.start()
        try:
            return await asked(batcher)
        finally:
            await batcher.stop()

    return asyncio.run(inside())


def test_everybody_gets_their_own_and_batches_are_bounded() -> None:
    scorer = Echo()
    model = served(scorer)

    async def many(batcher):
        first = [batcher.rank(model, asking(i)) for i in range(8)]
        return await asyncio.gather(*first)

    found = run(LIMITS, many)
    assert [f[0].items.tolist() for f in found] == [[i] for i in range(8)]  # pyright: ignore
    assert scorer.batches == [4, 4]
    assert len(scorer.threads) == 1
    assert threading.get_ident() not in scorer.threads


def test_two_models_do_not_share_a_batch_and_order_is_kept() -> None:
    one, other = Echo(), Echo()
    a, b = served(one, "a"), served(other, "b")

    async def mixed(batcher):
        return await asyncio.gather(
            *(batcher.rank((a, b)[i % 2], asking(i)) for i in range(6)),
            batcher.call(lambda x: x + 1, 41),
        )

    *found, called = run(LIMITS, mixed)  # pyright: ignore
    assert [f[0].items[0] for f in found] == list(range(6))
    assert called == 42
    assert (one.batches, other.batches) == ([3], [3])


def test_who_finds_the_queue_full_is_refused_at_once_and_the_others_are_served() -> None:
    scorer = Held()
    model = served(scorer)

    async def flood(batcher):
        tasks = [asyncio.ensure_future(batcher.rank(model, asking(i))) for i in range(30)]
        await asyncio.sleep(0)
        refused = [t for t in tasks if t.done() and t.exception()]
        scorer.go_on.set()
        rest = await asyncio.gather(*tasks, return_exceptions=True)
        return refused, rest

    refused, rest = run(LIMITS, flood)  # pyright: ignore
    # Nothing was scored until the thirty had been looked at once.
    assert len(refused) == 30 - LIMITS.queue_users
    problems = [r for r in rest if isinstance(r, ProblemError)]
    assert len(problems) == len(refused)
    assert {(p.status, p.headers["Retry-After"]) for p in problems} == {(429, "1")}
    assert [r[0].items[0] for r in rest if isinstance(r, list)] == list(range(LIMITS.queue_users))


def test_a_request_larger_than_the_queue_is_let_in_when_nothing_waits() -> None:
    model = served(Echo())

    async def large(batcher):
        return await batcher.rank(model, [w for i in range(20) for w in asking(i)])

    assert [f.items[0] for f in run(LIMITS, large)] == list(range(20))  # pyright: ignore


def test_the_deadline_is_kept_while_scoring_and_while_waiting() -> None:
    scorer = Held()
    model = served(scorer)

    async def late(batcher):
        tasks = [asyncio.ensure_future(batcher.rank(model, asking(i))) for i in range(6)]
        assert await asyncio.to_thread(scorer.scoring.wait, 60)
        assert batcher._n_waiting == 2
        pass_seconds(LIMITS.deadline_seconds)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        # All six were answered while the scorer is still at the first four.
        assert scorer.batches == []
        scorer.go_on.set()
        return found

    found = run(LIMITS, late)
    assert {f.status for f in found} == {504}  # pyright: ignore
    # Those that waited were dropped: only the first batch was ever scored.
    assert scorer.batches == [4]


def test_a_batch_handed_ahead_is_dropped_too_when_its_deadline_passes() -> None:
    scorer = Held()
    model = served(scorer)

    async def late(batcher):
        tasks = [asyncio.ensure_future(batcher.rank(model, asking(i))) for i in range(8)]
        assert await asyncio.to_thread(scorer.scoring.wait, 60)
        assert batcher._n_waiting == 0  # both batches are the scoring thread's
        pass_seconds(LIMITS.deadline_seconds)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        scorer.go_on.set()
        return found

    found = run(LIMITS, late)
    assert {f.status for f in found} == {504}  # pyright: ignore
    assert scorer.batches == [4]


def test_the_next_batch_goes_ahead_only_when_it_is_whole() -> None:
    scorer = Held()
    model = served(scorer)

    async def trickle(batcher):
        def ask(item: int):
            return asyncio.ensure_future(batcher.rank(model, asking(item)))

        tasks = [ask(0)]
        assert await asyncio.to_thread(scorer.scoring.wait, 60)
        waiting = []
        for item in range(1, 9):
            tasks.append(ask(item))
            for _ in range(10):  # turns of the event loop
                await asyncio.sleep(0)
            waiting.append(batcher._n_waiting)
        scorer.go_on.set()
        await asyncio.gather(*tasks)
        return waiting

    # Of four one goes to the thread, then none: it has two.
    assert run(LIMITS, trickle) == [1, 2, 3, 0, 1, 2, 3, 4]
    assert scorer.batches == [1, 4, 4]


def test_a_failing_batch_fails_alone() -> None:
    good, bad = Echo(), Echo()
    bad.top_k = lambda *_: 1 / 0  # pyright: ignore

    async def both(batcher):
        with pytest.raises(ZeroDivisionError):
            await batcher.rank(served(bad), asking(1))
        return await batcher.rank(served(good), asking(2))

    assert run(LIMITS, both)[0].items.tolist() == [2]  # pyright: ignore


def test_those_who_left_are_not_scored_and_give_their_places_back() -> None:
    scorer = Held()
    model = served(scorer)

    async def leaving(batcher):
        gauge = batcher._gauge._value
        first = asyncio.ensure_future(batcher.rank(model, asking(0)))
        assert await asyncio.to_thread(scorer.scoring.wait, 60)
        left = [asyncio.ensure_future(batcher.rank(model, asking(i))) for i in (1, 2, 3)]
        await asyncio.sleep(0)
        assert (batcher._n_waiting, gauge.get()) == (3, 3)
        for task in left:
            task.cancel()
        scorer.go_on.set()
        await asyncio.gather(first, batcher.rank(model, asking(4)))
        return batcher._n_waiting, gauge.get()

    assert run(LIMITS, leaving) == (0, 0)
    assert scorer.scored == [0, 4]


def test_those_passed_over_for_another_model_keep_their_order() -> None:
    one, other = Held(), Echo()
    a, b = served(one, "a"), served(other, "b")

    async def mixed(batcher):
        tasks = [asyncio.ensure_future(batcher.rank(a, asking(0)))]
        assert await asyncio.to_thread(one.scoring.wait, 60)
        for item, model in [(1, a), (2, b), (3, b), (4, b)]:
            tasks.append(asyncio.ensure_future(batcher.rank(model, asking(item))))
        one.go_on.set()
        await asyncio.gather(*tasks)

    limits = LIMITS
    run(limits, mixed)
    assert (one.scored, other.scored) == ([0, 1], [2, 3, 4])


def test_the_first_waits_for_company_as_long_as_it_may(monkeypatch) -> None:
    scorer, slept = Echo(), []
    model = served(scorer)

    async def company(batcher):
        sleep, joined = asyncio.sleep, asyncio.Event()

        async def sleeping(seconds: float) -> None:
            slept.append(seconds)
            await joined.wait()

        with monkeypatch.context() as patch:
            patch.setattr(asyncio, "sleep", sleeping)
            tasks = [asyncio.ensure_future(batcher.rank(model, asking(0)))]
            while not slept:
                await sleep(0)
            tasks.append(asyncio.ensure_future(batcher.rank(model, asking(1))))
            await sleep(0)
            joined.set()
            await asyncio.gather(*tasks)

    run(replace(LIMITS, wait_seconds=0.125), company)
    assert slept == [0.125]
    assert scorer.batches == [2]


def test_only_batches_of_histories_that_were_scored_are_measured() -> None:
    scorer, metrics = Held(), Metrics()
    model = served(scorer)

    async def asked() -> None:
        batcher = MicroBatcher(LIMITS, metrics)
        batcher.start()
        try:
            assert await batcher.call(lambda: 41) == 41
            tasks = [asyncio.ensure_future(batcher.rank(model, asking(i))) for i in range(8)]
            assert await asyncio.to_thread(scorer.scoring.wait, 60)
            for task in tasks[4:]:  # a whole batch, handed to the thread, that nobody waits for
                task.cancel()
            scorer.go_on.set()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await batcher.stop()

    asyncio.run(asked())
    value = metrics.registry.get_sample_value
    counts = [value(f"nearfar_{name}_count") for name in ("batch_users", "batch_seconds")]
    assert (scorer.batches, counts, value("nearfar_batch_users_sum")) == ([4], [1, 1], 4)
