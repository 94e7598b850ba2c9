"""The latent map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from fastapi import APIRouter, Request

from nearfar.web import examples
from nearfar.web.exchange import OF_BODY, Json, answers, read_body, service_of, takes
from nearfar.web.problems import ProblemError
from nearfar.web.routes.items import ModelQuery
from nearfar.web.routes.recommend import known_of
from nearfar.web.rows import csr_of_lists
from nearfar.web.schemas import MapResponse, PointRequest, PointResponse
from nearfar.web.served import Served

if TYPE_CHECKING:
    # Drawing needs libraries that serving does not.
    from nearfar.web.latent_map import LatentMap

router = APIRouter(tags=["map"])


@router.get(
    "/v1/map",
    summary="The latent map of some users",
    responses=answers(MapResponse, examples.MAP, 404, 422, 503),
)
async def whole_map(request: Request, model: ModelQuery = None) -> Json:
    """Users of the split by cohort, and the anchors of popular items where the model has any.

    Coordinates are by principal components of the latent space.
    """
    served = service_of(request).models.get(model)
    content = dict(_map_of(served).content)
    anchors = [
        {**served.catalogue.item(a["position"]), "x": a["x"], "y": a["y"]}
        for a in content.pop("anchors")
    ]
    return Json(
        {"model": served.name, "version": served.scorer.version, **content, "anchors": anchors}
    )


@router.post(
    "/v1/map/point",
    summary="Where somebody lies on the map",
    responses=answers(PointResponse, examples.POINT, *OF_BODY, 404, 422, 429, 503, 504),
    openapi_extra=takes(PointRequest, **examples.PLACE),
)
async def point(request: Request) -> Json:
    """The place of a history on the map of the same model and version."""
    service = service_of(request)
    deadline = service.coalescer.deadline()
    body = read_body(request, PointRequest)
    served = service.models.get(body.model)
    found = _map_of(served)
    known = await known_of(request, served, body, deadline)
    history = csr_of_lists([np.sort(np.array(known.positions, np.int64))], len(served.catalogue))
    x, y = await service.coalescer.call(found.point, served.scorer, history, deadline=deadline)
    return Json(
        {"model": served.name, "version": served.scorer.version, "x": x, "y": y,
         "n_known": len(known.positions)}
    )  # fmt: skip


def _map_of(served: Served) -> LatentMap:
    if served.map is None:
        lacks = "latent" not in served.scorer.abilities
        raise ProblemError(
            404, "no-map",
            "this model has no latent space; serve an autoencoder, as multvae or pia"
            if lacks
            else "no map was made; start nearfar serve with --data SPLIT",
        )  # fmt: skip
    return served.map
