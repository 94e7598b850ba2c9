"""Items found, and items alike."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path, Query, Request

from nearfar.web import examples
from nearfar.web.exchange import Json, answers, service_of
from nearfar.web.limits import MAX_ID, MAX_K, MAX_TITLE
from nearfar.web.paths import with_id
from nearfar.web.problems import unknown_item
from nearfar.web.schemas import SearchResponse, SimilarResponse
from nearfar.web.scorers.scorer import Scorer
from nearfar.web.shown import found_item, number

router = APIRouter(tags=["items"])

ModelQuery = Annotated[
    str | None, Query(max_length=MAX_ID, description="Which model; by default the first.")
]


@router.get(
    "/v1/items",
    summary="Find items by title",
    responses=answers(SearchResponse, examples.SEARCHED, 404, 422, 429, 503, 504),
)
async def find(
    request: Request,
    query: Annotated[
        str, Query(max_length=MAX_TITLE, description="What was typed.", examples=["toy sto"])
    ],
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
    model: ModelQuery = None,
) -> Json:
    """Items by the beginning of their title or of a word in it, or by what comes near it when it
    is mistyped; an id finds its item."""
    service = service_of(request)
    served = service.models.get(model)
    found = await service.lookups.call(request.receive, None, served.catalogue.search, query, limit)
    items = [found_item(served, position) for position in found]
    return Json({"model": served.name, "version": served.scorer.version, "items": items})


@router.get(
    with_id("/v1/items/{item}/similar", "item"),
    summary="Items like an item",
    responses=answers(SimilarResponse, examples.SIMILAR, 404, 422, 429, 503, 504),
)
async def similar(
    request: Request,
    item: Annotated[str, Path(min_length=1, max_length=MAX_ID, examples=["1"])],
    k: Annotated[int, Query(ge=1, le=MAX_K, description="How many items.")] = 10,
    model: ModelQuery = None,
) -> Json:
    """Items whose anchors, or whose rows in the decoder, point the same way."""
    service = service_of(request)
    served = service.models.get(model)
    position = served.catalogue.position(item)
    if position < 0:
        raise unknown_item()
    served.needs("similar")
    positions, alike = await service.coalescer.call(_most_alike, served.scorer, position, k)
    listed = [
        {**found_item(served, p), "similarity": number(s)}
        for p, s in zip(positions, alike, strict=True)
    ]
    return Json(
        {"model": served.name, "version": served.scorer.version,
         "item": found_item(served, position), "similar": listed}
    )  # fmt: skip


def _most_alike(scorer: Scorer, position: int, k: int) -> tuple[list[int], list[float]]:
    alike = scorer.similarities(np.array([position]))[0]
    order = np.argsort(-alike, kind="stable")
    order = order[order != position][:k]
    return order.tolist(), alike[order].astype(float).tolist()
