"""Items found, and items alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from starlette.requests import Request

from nearfar.web.catalogue import rounded
from nearfar.web.operation import Operations, service_of
from nearfar.web.problems import unknown_item
from nearfar.web.schemas import (
    SearchParameters,
    SearchResponse,
    SimilarParameters,
    SimilarResponse,
)
from nearfar.web.scorers.scorer import Scorer

operations = Operations("items")


@operations.get(
    "/v1/items", takes=SearchParameters, returns=SearchResponse, problems=(404, 429, 503, 504)
)
async def find(request: Request, asked: SearchParameters) -> dict[str, Any]:
    """Find items by title.

    Items by the beginning of their title or of a word in it, or by what comes near it when it
    is mistyped; an id finds its item.
    """
    service = service_of(request)
    served = service.models.get(asked.model)
    positions = await service.lookups.call(
        request.receive, None, served.catalogue.search, asked.query, asked.limit
    )
    items = [served.catalogue.item_with_popularity(position) for position in positions]
    return {"model": served.name, "version": served.scorer.version, "items": items}


@operations.get(
    "/v1/items/{item}/similar",
    takes=SimilarParameters,
    returns=SimilarResponse,
    problems=(404, 429, 503, 504),
)
async def similar(request: Request, asked: SimilarParameters) -> dict[str, Any]:
    """Items like an item.

    Items whose anchors, or whose rows in the decoder, point the same way.
    """
    service = service_of(request)
    served = service.models.get(asked.model)
    catalogue = served.catalogue
    position = catalogue.position(asked.item)
    if position < 0:
        raise unknown_item()
    served.needs("similar")
    positions, similarities = await service.batcher.call(
        _most_alike, served.scorer, position, asked.k
    )
    listed = [
        {**catalogue.item_with_popularity(p), "similarity": rounded(s)}
        for p, s in zip(positions, similarities, strict=True)
    ]
    return {
        "model": served.name, "version": served.scorer.version,
        "item": catalogue.item_with_popularity(position), "similar": listed,
    }  # fmt: skip


def _most_alike(scorer: Scorer, position: int, k: int) -> tuple[list[int], list[float]]:
    alike = scorer.similarities(np.array([position]))[0]
    order = np.argsort(-alike, kind="stable")
    order = order[order != position][:k]
    return order.tolist(), alike[order].astype(float).tolist()
