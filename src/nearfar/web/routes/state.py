"""Operations on the state of the service: probes, metrics and models."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from nearfar.web.operation import Operations, service_of
from nearfar.web.problems import not_ready
from nearfar.web.schemas import Health, ModelsResponse, Ready

operations = Operations("state")


@operations.get("/healthz", returns=Health)
async def healthz(request: Request) -> dict[str, Any]:
    """Report that the process runs.

    For liveness probes; needs no token.
    """
    return {"status": "alive"}


@operations.get("/readyz", returns=Ready, problems=(503,))
async def readyz(request: Request) -> dict[str, Any]:
    """Report whether requests are answered.

    For readiness probes; needs no token. `troubles` names published versions that could not be
    loaded; the version before is served instead.
    """
    service = service_of(request)
    troubles = list(service.loader.troubles.values())
    if not service.ready:
        raise not_ready("; ".join(["no model is served", *troubles]))
    models = {served.name: served.scorer.version for served in service.models}
    return {"ready": True, "models": models, "troubles": troubles}


@operations.get("/metrics", media_type="text/plain; version=0.0.4; charset=utf-8")
async def metrics(request: Request) -> bytes:
    """Get the metrics for Prometheus.

    Counters, gauges and histograms, without personal data.
    """
    return service_of(request).metrics.text()


@operations.get("/v1/model", returns=ModelsResponse)
async def models(request: Request) -> dict[str, Any]:
    """List the served models.

    Version, age, measured metrics and abilities of each, and the running experiment.
    """
    service = service_of(request)
    models = [served.metadata() for served in service.models]
    return {
        "models": models, "experiment": service.experiment(),
        "report": service.report is not None,
    }  # fmt: skip
