"""Operations on maps of users and of items."""

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
async def whole_map(request: Request, parameters: MapParameters) -> dict[str, Any]:
    """Get the latent map of some users.

    It has users of the split by cohort, and the anchors of popular items if the model has any.

    Coordinates are the first two principal components of the latent space.
    """
    served = service_of(request).models.get(parameters.model)
    content = dict(_map_of(served).content)
    anchors = [
        {**served.catalogue.item(a["position"]), "x": a["x"], "y": a["y"]}
        for a in content.pop("anchors")
    ]
    return {
        "model": served.name, "version": served.scorer.version, **content, "anchors": anchors
    }  # fmt: skip


@operations.get("/v1/map/items", takes=MapParameters, returns=ItemMapResponse, problems=(404, 503))
async def map_of_items(request: Request, parameters: MapParameters) -> dict[str, Any]:
    """Get the map of the most popular items.

    Coordinates are the first two principal components of the item vectors: PIA's anchors, else the
    rows of the decoder, or factors. The first request after a model is loaded makes the map.
    """
    served = service_of(request).models.get(parameters.model)
    if served.item_map is None:
        no_vectors = served.scorer.item_vectors is None
        raise ProblemError(
            404, "no-map",
            "this model has no item vectors; serve an autoencoder or a factor model (pia, wmf)"
            if no_vectors
            else "no map of items can be made; pip install 'nearfar[maps]' where the service runs, "
            "and serve a model of at least three items",
        )  # fmt: skip
    # In its own thread, not in the queue of scoring: the first call takes seconds.
    content = await asyncio.to_thread(served.item_map.content)
    return {"model": served.name, "version": served.scorer.version, **content}


@operations.post(
    "/v1/map/point", takes=PointRequest, returns=PointResponse, problems=(404, 429, 503, 504)
)
async def point(request: Request, body: PointRequest) -> dict[str, Any]:
    """Place a history on the map.

    The coordinates are on the map of the same model and version.
    """
    service = service_of(request)
    deadline = service.batcher.deadline()
    served = service.models.get(body.model)
    latent_map = _map_of(served)
    items = await known_items(request, served, body, deadline)
    history = csr_of_lists([np.sort(np.array(items.positions, np.int64))], len(served.catalogue))
    x, y = await service.batcher.call(latent_map.point, served.scorer, history, deadline=deadline)
    return {
        "model": served.name, "version": served.scorer.version, "x": x, "y": y,
        "n_known": len(items.positions),
    }  # fmt: skip


def _map_of(served: ServedModel) -> ServedMap:
    """Return the latent map of a model.

    Raises:
        ProblemError: there is none.
    """
    if served.map is None:
        no_latents = "latent" not in served.scorer.abilities
        raise ProblemError(
            404, "no-map",
            "this model has no latent space; serve an autoencoder, such as multvae or pia"
            if no_latents
            else "no map was made; start nearfar serve with --data SPLIT",
        )  # fmt: skip
    return served.map
