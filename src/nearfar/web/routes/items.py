"""Operations on items: search and similar items."""

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
async def find(request: Request, parameters: SearchParameters) -> dict[str, Any]:
    """Find items by title.

    Matches the beginning of a title or of a word in it, and tolerates typing errors; an id finds
    its item.
    """
    service = service_of(request)
    served = service.models.get(parameters.model)
    positions = await service.lookups.call(
        request.receive, None, served.catalogue.search, parameters.query, parameters.limit
    )
    items = [served.catalogue.item_with_popularity(position) for position in positions]
    return {"model": served.name, "version": served.scorer.version, "items": items}


@operations.get(
    "/v1/items/{item}/similar",
    takes=SimilarParameters,
    returns=SimilarResponse,
    problems=(404, 429, 503, 504),
)
async def similar(request: Request, parameters: SimilarParameters) -> dict[str, Any]:
    """Find similar items.

    Similarity is the cosine of the items' anchors, decoder rows or factors, or the share that an
    item adds to the other's score in an item-item model.
    """
    service = service_of(request)
    served = service.models.get(parameters.model)
    catalogue = served.catalogue
    position = catalogue.position(parameters.item)
    if position < 0:
        raise unknown_item()
    served.needs("similar")
    positions, similarities = await service.batcher.call(
        _most_similar, served.scorer, position, parameters.k
    )
    items = [
        {**catalogue.item_with_popularity(p), "similarity": rounded(s)}
        for p, s in zip(positions, similarities, strict=True)
    ]
    return {
        "model": served.name, "version": served.scorer.version,
        "item": catalogue.item_with_popularity(position), "similar": items,
    }  # fmt: skip


def _most_similar(scorer: Scorer, position: int, k: int) -> tuple[list[int], list[float]]:
    """Return the positions and similarities of the k items most similar to an item."""
    similarities = scorer.similarities(np.array([position]))[0]
    order = np.argsort(-similarities, kind="stable")
    order = order[order != position][:k]
    return order.tolist(), similarities[order].astype(float).tolist()
