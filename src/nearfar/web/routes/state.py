"""How the service is, and what it serves."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from nearfar.web import examples
from nearfar.web.exchange import Json, answers, problem_answers, service_of
from nearfar.web.problems import not_ready
from nearfar.web.schemas import Health, ModelsResponse, Ready

router = APIRouter(tags=["state"])
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


@router.get(
    "/healthz", summary="Whether the process runs", responses=answers(Health, examples.ALIVE)
)
async def healthz() -> Json:
    """For probes of liveness; open to all."""
    return Json({"status": "alive"})


@router.get(
    "/readyz",
    summary="Whether requests are answered",
    responses=answers(Ready, examples.READY, 503),
)
async def readyz(request: Request) -> Json:
    """For probes of readiness; open to all. A published version that could not be loaded is told
    under `troubles`, while the one before serves on."""
    service = service_of(request)
    troubles = list(service.loader.troubles.values())
    if not service.ready:
        raise not_ready("; ".join(["no model is served", *troubles]))
    models = {served.name: served.scorer.version for served in service.models}
    return Json({"ready": True, "models": models, "troubles": troubles})


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    responses={
        200: {"description": "Prometheus' text format.", "content": {"text/plain": {
            "schema": {"type": "string"}}}},
        **problem_answers(),
    },
    response_class=Response,
)  # fmt: skip
async def metrics(request: Request) -> Response:
    """Counters, gauges and histograms; nothing of any person."""
    service = service_of(request)
    return Response(service.metrics.text(), headers={"Content-Type": PROMETHEUS})


@router.get(
    "/v1/model",
    summary="The models served",
    responses=answers(ModelsResponse, examples.MODELS),
)
async def models(request: Request) -> Json:
    """Version, age, measured quality and abilities of each, and the experiment that runs."""
    service = service_of(request)
    told = [served.about() for served in service.models]
    return Json({"models": told, "experiment": service.experiment()})
