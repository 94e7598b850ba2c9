"""Recommendations for histories that requests bring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from fastapi import APIRouter, Request
from jaxtyping import Int

from nearfar.web import examples
from nearfar.web.catalogue import ItemId, Unmatched
from nearfar.web.exchange import ARM, OF_BODY, Json, answers, read_body, service_of, takes
from nearfar.web.problems import ProblemError
from nearfar.web.schemas import (
    BatchRequest,
    BatchResponse,
    Person,
    RecommendRequest,
    RecommendResponse,
)
from nearfar.web.served import Served
from nearfar.web.shown import REASONS, recommendations
from nearfar.web.work import Wanted

router = APIRouter(tags=["recommend"])


@dataclass(frozen=True)
class Known:
    """What of a request the model knows.

    Args:
        positions: of the items, each once, in the order given.
        unknown: ids that it does not know.
        unmatched: titles of no item or several.
    """

    positions: list[int]
    unknown: list[ItemId]
    unmatched: list[Unmatched]


async def known_of(
    request: Request, served: Served, person: Person, deadline: float | None = None
) -> Known:
    """Return the items that a person names, by id and by title.

    Args:
        request: which the person sent.
        served: the model.
        person: the ids and titles.
        deadline: of the request, on the event loop's clock.

    Raises:
        ProblemError: too many look up titles, the deadline passed, or the client left.
    """
    positions, unknown = served.catalogue.positions(person.items)
    if not person.titles:
        return Known(positions, unknown, [])
    # What is no title is searched for, which may take milliseconds.
    called, unmatched = await service_of(request).lookups.call(
        request.receive, deadline, served.catalogue.match, person.titles
    )
    return Known(list(dict.fromkeys([*positions, *called])), unknown, unmatched)


def banned(
    served: Served, allow: Sequence[ItemId] | None, deny: Sequence[ItemId]
) -> Int[np.ndarray, " banned"]:
    """Positions that are no candidates for anybody in a request, sorted.

    Raises:
        ProblemError: none of the items allowed is known.
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
    """Both, sorted and without doubles."""
    return np.array(sorted({*excluded.tolist(), *more} if len(excluded) else set(more)), np.int64)


@router.post(
    "/v1/recommend",
    summary="Recommend to somebody by what they like",
    responses=answers(
        RecommendResponse, examples.RECOMMENDED, *OF_BODY, 404, 422, 429, 503, 504, arm=True
    ),
    openapi_extra=takes(RecommendRequest, **examples.RECOMMEND),
)
async def recommend(request: Request) -> Json:
    """Items for any user's history; nothing is stored.

    A history without an item that the model knows gets what is popular.
    """
    service = service_of(request)
    deadline = service.coalescer.deadline()
    body = read_body(request, RecommendRequest)
    arm = service.arm_of(body.user, body.model)
    served = service.choose(body.model, arm)
    if body.explain:
        served.needs("explain")
    if body.diversity:
        served.needs("similar")
    known = await known_of(request, served, body, deadline)
    positions = np.array(known.positions, np.int64)
    excluded = banned(served, body.allow, body.deny)
    own = served.catalogue.positions(body.exclude)[0]
    if body.exclude_seen:
        own += known.positions
    if own:
        excluded = _union(excluded, own)
    wanted = Wanted(positions, excluded, body.k, body.diversity, body.explain)
    (found,) = await service.coalescer.rank(served, [wanted], deadline=deadline)
    source = "history" if known.positions else "popular"
    service.metrics.sources.labels(source).inc()
    listed = served.catalogue.listed
    content = {
        "model": served.name,
        "version": served.scorer.version,
        "source": source,
        "reason": REASONS[source],
        "arm": arm,
        "history": listed(known.positions),
        "unknown": known.unknown,
        "unmatched": [
            {"title": u.title, "candidates": listed(u.candidates)} for u in known.unmatched
        ],
        "recommendations": recommendations(served, found),
    }
    return Json(content, headers=None if arm is None else {ARM: arm})


@router.post(
    "/v1/recommend/batch",
    summary="Recommend to several people at once",
    responses=answers(BatchResponse, examples.BATCHED, *OF_BODY, 404, 422, 429, 503, 504),
    openapi_extra=takes(BatchRequest, **examples.BATCH),
)
async def recommend_batch(request: Request) -> Json:
    """Items for each of several histories; what is allowed and denied holds for all."""
    service = service_of(request)
    body = read_body(request, BatchRequest)
    served = service.choose(body.model, None)
    shared = banned(served, body.allow, body.deny)
    wanted, unknown = [], []
    for history in body.histories:
        positions, missing = served.catalogue.positions(history)
        own = np.array(positions, np.int64)
        excluded = _union(shared, positions) if body.exclude_seen else shared
        wanted.append(Wanted(own, excluded, body.k))
        unknown.append(len(missing))
    found = await service.coalescer.rank(served, wanted)
    sources = ["history" if len(one.history) else "popular" for one in wanted]
    for source in sources:
        service.metrics.sources.labels(source).inc()
    results = [
        {"source": source, "n_unknown": n, "recommendations": recommendations(served, one)}
        for source, n, one in zip(sources, unknown, found, strict=True)
    ]
    return Json({"model": served.name, "version": served.scorer.version, "results": results})


DIRECT = {"/v1/recommend": recommend, "/v1/recommend/batch": recommend_batch}
"""Called without FastAPI's machinery; see `Direct`."""
