"""Builds the ASGI application: operations, page, error handlers and middleware."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from nearfar.web.middleware import AdmissionMiddleware, ObservationMiddleware
from nearfar.web.openapi import describe
from nearfar.web.operation import Operation
from nearfar.web.page_routes import page_routes
from nearfar.web.problems import ProblemError, status_problem
from nearfar.web.routes import items, map, recommend, state, users
from nearfar.web.service import Service

OPERATIONS = (
    *users.operations, *recommend.operations, *items.operations, *map.operations,
    *state.operations,
)  # fmt: skip
"""The most frequent first: routes are tried in this order."""

EXPOSED = ["X-Request-Id", "X-Nearfar-Arm", "Retry-After"]


def make_app(service: Service) -> Starlette:
    """Return the application of a service whose models are loaded, which it starts and stops."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with service.running():
            yield

    settings = service.settings
    middleware = [Middleware(ObservationMiddleware, metrics=service.metrics)]
    if settings.origins:
        middleware.append(
            Middleware(
                CORSMiddleware, allow_origins=list(settings.origins), expose_headers=EXPOSED,
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
            )
        )  # fmt: skip
    middleware.append(Middleware(AdmissionMiddleware, limits=settings.limits, token=settings.token))
    app = Starlette(
        routes=[
            *(operation.route() for operation in OPERATIONS),
            DESCRIPTION.route(),
            *page_routes(),
            *([] if service.report is None else [service.report.route()]),
        ],
        middleware=middleware,
        exception_handlers={ProblemError: _problem, HTTPException: _status},
        lifespan=lifespan,
    )
    app.state.service = service
    return app


@cache
def _document() -> str:
    return orjson.dumps(describe(OPERATIONS)).decode()


async def _openapi(request: Request) -> str:
    """Return the OpenAPI document, in which this operation is not listed."""
    return _document()


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return error.response(request.state.request_id)


async def _status(request: Request, error: Exception) -> Response:
    """Answer a status that the router raised without a body."""
    assert isinstance(error, HTTPException)
    return await _problem(request, status_problem(error.status_code, error.headers))


DESCRIPTION = Operation("GET", "/openapi.json", _openapi)
