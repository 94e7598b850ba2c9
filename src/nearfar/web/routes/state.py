"""How the service is, and what it serves."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from nearfar.web.operation import Operations, service_of
from nearfar.web.problems import not_ready
from nearfar.web.schemas import Health, ModelsResponse, Ready

operations = Operations("state")


@operations.get("/healthz", returns=Health)
async def healthz(request: Request) -> dict[str, Any]:
    """Whether the process runs.

    For probes of liveness; open to all.
    """
    return {"status": "alive"}


@operations.get("/readyz", returns=Ready, problems=(503,))
async def readyz(request: Request) -> dict[str, Any]:
    """Whether requests are answered.

    For probes of readiness; open to all. A published version that could not be loaded is told
    under `troubles`, while the one before serves on.
    """
    service = service_of(request)
    troubles = list(service.loader.troubles.values())
    if not service.ready:
        raise not_ready("; ".join(["no model is served", *troubles]))
    models = {served.name: served.scorer.version for served in service.models}
    return {"ready": True, "models": models, "troubles": troubles}


@operations.get("/metrics", media_type="text/plain; version=0.0.4; charset=utf-8")
async def metrics(request: Request) -> bytes:
    """Metrics for Prometheus.

    Counters, gauges and histograms; nothing of any person.
    """
    return service_of(request).metrics.text()


@operations.get("/v1/model", returns=ModelsResponse)
async def models(request: Request) -> dict[str, Any]:
    """The models served.

    Version, age, measured quality and abilities of each, and the experiment that runs.
    """
    service = service_of(request)
    described = [served.about() for served in service.models]
    return {
        "models": described, "experiment": service.experiment(),
        "report": service.report is not None,
    }  # fmt: skip
