"""Error responses in one form: application/problem+json (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from pydantic import BaseModel, Field
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
URN = "urn:problem-type:nearfar:"


class FieldError(BaseModel):
    """An error in one field of a request."""

    pointer: str = Field(description="A JSON pointer, or the name of a parameter.")
    detail: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str | None
    errors: list[FieldError] | None = None


class ProblemError(Exception):
    """An error that a request is answered with.

    Args:
        status: HTTP status.
        name: stable name of the problem, the last part of its type.
        detail: what is wrong, what was expected and what to do; no personal data.
        errors: the fields at fault: JSON pointer and detail of each.
        headers: headers of the response.
    """

    def __init__(
        self,
        status: int,
        name: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.name = name
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})

    def body(self, request_id: str | None) -> bytes:
        """Return the body of the response."""
        content: dict[str, Any] = {
            "type": URN + self.name,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.errors:
            content["errors"] = self.errors
        return orjson.dumps(content)

    def response(self, request_id: str | None) -> Response:
        """Return the response."""
        return Response(self.body(request_id), self.status, self.headers, MEDIA_TYPE)


def queue_full() -> ProblemError:
    """Return the problem of a full queue."""
    return ProblemError(
        429, "queue-full", "too many requests are waiting; retry in a second",
        headers={"Retry-After": "1"},
    )  # fmt: skip


def too_late() -> ProblemError:
    """Return the problem of a passed deadline."""
    return ProblemError(
        504, "deadline", "the deadline passed before the response was ready; ask for less or retry"
    )


def not_ready(detail: str) -> ProblemError:
    """Return the problem of something that is not available yet."""
    return ProblemError(503, "not-ready", detail, headers={"Retry-After": "5"})


def unknown_item() -> ProblemError:
    """Return the problem of a path with an item that the model does not know."""
    return ProblemError(
        404, "unknown-item", "the model knows no such item; search /v1/items?query="
    )


def internal() -> ProblemError:
    """Return the problem of an unexpected error in the service."""
    return ProblemError(
        500, "internal", "the service failed; its log has the error under the request id"
    )


def status_problem(status: int, headers: Mapping[str, str] | None = None) -> ProblemError:
    """Return the problem of a status that the router raised."""
    names = {
        404: ("not-found", "there is nothing at this path; see /openapi.json"),
        405: ("method-not-allowed", "this path does not support the method; see /openapi.json"),
    }
    name, detail = names.get(status, ("http", HTTPStatus(status).phrase))
    return ProblemError(status, name, detail, headers=headers)
