"""The application: routes, errors, layers, and its description (OpenAPI)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from nearfar._version import __version__
from nearfar.web import schemas
from nearfar.web.direct import Direct
from nearfar.web.edge import Edge
from nearfar.web.exchange import of_validation
from nearfar.web.explorer import mount_page
from nearfar.web.guard import Guard
from nearfar.web.problems import ProblemError, of_status
from nearfar.web.routes import items, map, recommend, state, users
from nearfar.web.service import Service

TOLD = """Recommendations from implicit feedback: fold in any history, ask why, look around.

Errors are `application/problem+json` (RFC 9457); `type` is stable. Where the service was started
with a token, requests to `/v1/...` and `/metrics` need `Authorization: Bearer TOKEN`. Every answer
has an `X-Request-Id`, yours if you sent one.
"""
REQUESTS = (schemas.RecommendRequest, schemas.BatchRequest, schemas.PointRequest)
ANSWERS = (
    schemas.RecommendResponse, schemas.BatchResponse, schemas.UserResponse, schemas.SearchResponse,
    schemas.SimilarResponse, schemas.MapResponse, schemas.PointResponse, schemas.ModelsResponse,
    schemas.Health, schemas.Ready, schemas.Problem,
)  # fmt: skip
EXPOSED = ["X-Request-Id", "X-Nearfar-Arm", "Retry-After"]


def make_app(service: Service) -> FastAPI:
    """The application over a service whose models are loaded; runs it from start to stop."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="nearfar", version=__version__, summary="Recommendations by nearfar.",
        description=TOLD, lifespan=lifespan, docs_url=None, redoc_url=None,
        license_info={"name": "MIT"},
    )  # fmt: skip
    app.state.service = service
    for module in (recommend, users, items, map, state):
        app.include_router(module.router)
    mount_page(app)
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _problem)
    app.add_exception_handler(HTTPException, _problem)
    app.add_middleware(Direct, endpoints=recommend.DIRECT, matchers=[users.match])
    app.add_middleware(Guard, limits=service.setup.limits, token=service.setup.token)
    if service.setup.origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(service.setup.origins), expose_headers=EXPOSED,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
        )  # fmt: skip
    app.add_middleware(Edge, metrics=service.metrics)
    app.openapi = lambda: _openapi(app)
    return app


async def _problem(request: Request, error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        error = of_validation(error.errors())
    elif isinstance(error, HTTPException):
        error = of_status(error.status_code, error.headers)
    assert isinstance(error, ProblemError)
    return error.response(request.state.request_id)


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The description, made once: requests are read beside FastAPI, so their schemas are added."""
    if app.openapi_schema:
        return app.openapi_schema
    made = get_openapi(
        title=app.title, version=app.version, summary=app.summary, description=app.description,
        routes=app.routes, license_info=app.license_info,
    )  # fmt: skip
    reference = "#/components/schemas/{model}"
    asked = models_json_schema([(m, "validation") for m in REQUESTS], ref_template=reference)[1]
    told = models_json_schema([(m, "serialization") for m in ANSWERS], ref_template=reference)[1]
    components = made.setdefault("components", {})
    components["schemas"] = {**asked.get("$defs", {}), **told.get("$defs", {})}
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, operations in made["paths"].items():
        if path.startswith("/v1/") or path == "/metrics":
            for operation in operations.values():
                operation["security"] = [{"token": []}, {}]
    app.openapi_schema = made
    return made
