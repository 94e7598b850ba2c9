"""The maps: users in the latent space, and items."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.requests import Request

from nearfar.web.map_schemas import (
    ItemMapResponse,
    MapParameters,
    MapResponse,
    PointRequest,
    PointResponse,
)
from nearfar.web.operation import Operations, service_of
from nearfar.web.problems import ProblemError
from nearfar.web.routes.recommend import known_items
from nearfar.web.scoring import csr_of_lists
from nearfar.web.served_models import ServedModel

if TYPE_CHECKING:
    # Drawing needs libraries that serving does not.
    from nearfar.web.latent_map import ServedMap

operations = Operations("map")


@operations.get("/v1/map", takes=MapParameters, returns=MapResponse, problems=(404, 503))
async def whole_map(request: Request, asked: MapParameters) -> dict[str, Any]:
    """The latent map of some users.

    Users of the split by cohort, and the anchors of popular items where the model has any.

    Coordinates are by principal components of the latent space.
    """
    served = service_of(request).models.get(asked.model)
    content = dict(_map_of(served).content)
    anchors = [
        {**served.catalogue.item(a["position"]), "x": a["x"], "y": a["y"]}
        for a in content.pop("anchors")
    ]
    return {
        "model": served.name, "version": served.scorer.version, **content, "anchors": anchors
    }  # fmt: skip


@operations.get("/v1/map/items", takes=MapParameters, returns=ItemMapResponse, problems=(404, 503))
async def map_of_items(request: Request, asked: MapParameters) -> dict[str, Any]:
    """The map of the most popular items.

    Items by what the model compares them by: PIA's anchors, else rows of the decoder, or factors.

    Coordinates are by principal components. The first request after a model is loaded makes it.
    """
    served = service_of(request).models.get(asked.model)
    if served.item_map is None:
        lacks = served.scorer.item_vectors is None
        raise ProblemError(
            404, "no-map",
            "this model has no item vectors; serve an autoencoder or a factor model, as pia or wmf"
            if lacks
            else "no map of items can be made; pip install 'nearfar[maps]' where the service runs, "
            "and serve a model of at least three items",
        )  # fmt: skip
    # Beside the event loop and not among the scoring: the first time it takes seconds.
    content = await asyncio.to_thread(served.item_map.content)
    return {"model": served.name, "version": served.scorer.version, **content}


@operations.post(
    "/v1/map/point", takes=PointRequest, returns=PointResponse, problems=(404, 429, 503, 504)
)
async def point(request: Request, body: PointRequest) -> dict[str, Any]:
    """Where somebody lies on the map.

    The place of a history on the map of the same model and version.
    """
    service = service_of(request)
    deadline = service.batcher.deadline()
    served = service.models.get(body.model)
    latent_map = _map_of(served)
    known = await known_items(request, served, body, deadline)
    history = csr_of_lists([np.sort(np.array(known.positions, np.int64))], len(served.catalogue))
    x, y = await service.batcher.call(latent_map.point, served.scorer, history, deadline=deadline)
    return {
        "model": served.name, "version": served.scorer.version, "x": x, "y": y,
        "n_known": len(known.positions),
    }  # fmt: skip


def _map_of(served: ServedModel) -> ServedMap:
    if served.map is None:
        lacks = "latent" not in served.scorer.abilities
        raise ProblemError(
            404, "no-map",
            "this model has no latent space; serve an autoencoder, as multvae or pia"
            if lacks
            else "no map was made; start nearfar serve with --data SPLIT",
        )  # fmt: skip
    return served.map
