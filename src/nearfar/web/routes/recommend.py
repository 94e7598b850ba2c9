"""Operations that recommend from the histories in a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int
from starlette.requests import Request

from nearfar.web.catalogue import ItemId, Unmatched
from nearfar.web.operation import Operations, service_of
from nearfar.web.problems import ProblemError
from nearfar.web.schemas import (
    BatchRequest,
    BatchResponse,
    RecommendRequest,
    RecommendResponse,
    UserHistory,
)
from nearfar.web.scoring import ScoringRequest
from nearfar.web.served_models import ServedModel

operations = Operations("recommend")

REASONS = {
    "history": "folded in from the history",
    "popular": "the history holds no item that the model knows; this is what is popular",
}


@dataclass(frozen=True)
class KnownItems:
    """The items of a request, looked up in a model's catalogue.

    Args:
        positions: positions of the known items, each once, in the order of the request.
        unknown: ids that the model does not know.
        unmatched: titles of no item or several.
    """

    positions: list[int]
    unknown: list[ItemId]
    unmatched: list[Unmatched]


async def known_items(
    request: Request, served: ServedModel, person: UserHistory, deadline: float | None = None
) -> KnownItems:
    """Look up the items of a history by id and title.

    Args:
        request: the request.
        served: the model.
        person: the ids and titles.
        deadline: of the request, on the event loop's clock.

    Raises:
        ProblemError: the queue of lookups is full, the deadline passed, or the client left.
    """
    positions, unknown = served.catalogue.positions(person.items)
    if not person.titles:
        return KnownItems(positions, unknown, [])
    # In the queue: the search for an unknown title may take milliseconds.
    matched, unmatched = await service_of(request).lookups.call(
        request.receive, deadline, served.catalogue.match, person.titles
    )
    return KnownItems(list(dict.fromkeys([*positions, *matched])), unknown, unmatched)


def banned(
    served: ServedModel, allow: Sequence[ItemId] | None, deny: Sequence[ItemId]
) -> Int[np.ndarray, " banned"]:
    """Return the sorted positions of the items that a request excludes for all its users.

    Raises:
        ProblemError: none of the allowed items is known.
    """
    denied = np.array(served.catalogue.positions(deny)[0], np.int64)
    if allow is None:
        denied.sort()
        return denied
    allowed = served.catalogue.positions(allow)[0]
    if not allowed:
        raise ProblemError(
            422, "nothing-allowed", "the model knows none of the items in allow; check the ids",
            errors=[{"pointer": "/allow", "detail": "no item is known"}],
        )  # fmt: skip
    others = np.setdiff1d(np.arange(len(served.catalogue)), allowed)
    return np.union1d(others, denied)


def _union(excluded: Int[np.ndarray, " excluded"], more: list[int]) -> Int[np.ndarray, " all"]:
    """Return the sorted union of positions."""
    return np.array(sorted({*excluded.tolist(), *more} if len(excluded) else set(more)), np.int64)


@operations.post(
    "/v1/recommend",
    takes=RecommendRequest,
    returns=RecommendResponse,
    problems=(404, 429, 503, 504),
    arm=True,
)
async def recommend(request: Request, body: RecommendRequest) -> dict[str, Any]:
    """Recommend items for a history.

    The history may be of any user; nothing is stored.

    A history without an item that the model knows gets popular items.
    """
    service = service_of(request)
    deadline = service.batcher.deadline()
    arm = service.arm_of(body.user, body.model)
    served = service.choose(body.model, arm)
    if body.explain:
        served.needs("explain")
    builder = served.diverse(body.diversity)
    known = await known_items(request, served, body, deadline)
    catalogue = served.catalogue
    excluded = banned(served, body.allow, body.deny)
    user_excluded = catalogue.positions(body.exclude)[0]
    if body.exclude_seen:
        user_excluded += known.positions
    if user_excluded:
        excluded = _union(excluded, user_excluded)
    history = np.array(known.positions, np.int64)
    scoring = ScoringRequest(history, excluded, body.k, builder, body.explain)
    (result,) = await service.batcher.rank(served, [scoring], deadline=deadline)
    source = "history" if known.positions else "popular"
    service.metrics.sources.labels(source).inc()
    return {
        "model": served.name,
        "version": served.scorer.version,
        "source": source,
        "reason": REASONS[source],
        "arm": arm,
        "history": catalogue.listed(known.positions),
        "unknown": known.unknown,
        "unmatched": [
            {"title": u.title, "candidates": catalogue.listed(u.candidates)}
            for u in known.unmatched
        ],
        "recommendations": catalogue.recommendations(result),
    }


@operations.post(
    "/v1/recommend/batch",
    takes=BatchRequest,
    returns=BatchResponse,
    problems=(404, 429, 503, 504),
)
async def recommend_batch(request: Request, body: BatchRequest) -> dict[str, Any]:
    """Recommend items for several histories.

    `allow` and `deny` apply to all histories.
    """
    service = service_of(request)
    served = service.choose(body.model, None)
    shared = banned(served, body.allow, body.deny)
    requests, n_unknown = [], []
    for items in body.histories:
        positions, missing = served.catalogue.positions(items)
        excluded = _union(shared, positions) if body.exclude_seen else shared
        history = np.array(positions, np.int64)
        requests.append(ScoringRequest(history, excluded, body.k, served.builder))
        n_unknown.append(len(missing))
    results = await service.batcher.rank(served, requests)
    sources = ["history" if len(r.history) else "popular" for r in requests]
    for source in sources:
        service.metrics.sources.labels(source).inc()
    answers = [
        {
            "source": source,
            "n_unknown": n,
            "recommendations": served.catalogue.recommendations(result),
        }
        for source, n, result in zip(sources, n_unknown, results, strict=True)
    ]
    return {"model": served.name, "version": served.scorer.version, "results": answers}
