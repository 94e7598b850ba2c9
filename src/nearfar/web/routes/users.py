"""Recommendations for users who are known by id."""

from __future__ import annotations

import re
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Query, Request

from nearfar.web import examples
from nearfar.web.direct import Endpoint
from nearfar.web.exchange import ARM, Json, answers, service_of
from nearfar.web.limits import MAX_ID, MAX_K
from nearfar.web.paths import with_id
from nearfar.web.problems import queue_full
from nearfar.web.schemas import UserResponse
from nearfar.web.served import Served
from nearfar.web.service import Service
from nearfar.web.shown import number, recommendations
from nearfar.web.work import Wanted

router = APIRouter(tags=["recommend"])

DEFAULT_K = 10

STORED = "made before, for {day}, by version {version}"
OF_OTHERS = "what is stored is by another model than that of the user's arm, version {version}"
AMBIGUOUS = "several models served are of version {version}, so that stored rows tell no arm"
FOLDED = "{before}; folded in from the stored history"
DOWN = "the store cannot be read now"
BUSY = "more is asked of the store than it answers in time"
POPULAR = "{before}, and no history is known; this is what is popular"


PATH = "/v1/users/{user}/recommendations"
PLAIN_PATH = re.compile(rf"/v1/users/(.{{1,{MAX_ID}}})/recommendations", re.DOTALL)
PLAIN_QUERY = re.compile(rb"(?:k=([1-9][0-9]{0,2}))?")


def match(path: str, query: bytes) -> tuple[str, Endpoint] | None:
    """Take a request that names a user and at most k, as nearly all do; see `Direct`."""
    user, asked = PLAIN_PATH.fullmatch(path), PLAIN_QUERY.fullmatch(query)
    if user is None or asked is None:
        return None
    k = int(asked[1] or DEFAULT_K)
    return (PATH, lambda request: of_user(request, user[1], k)) if k <= MAX_K else None


@router.get(
    with_id(PATH, "user"),
    summary="Recommend to a user known by id",
    responses=answers(UserResponse, examples.USER, 404, 422, 429, 503, 504, arm=True),
)
async def of_user(
    request: Request,
    user: Annotated[str, Path(min_length=1, max_length=MAX_ID, examples=["42"])],
    k: Annotated[int, Query(ge=1, le=MAX_K, description="How many items.")] = DEFAULT_K,
    model: Annotated[
        str | None,
        Query(max_length=MAX_ID, description="Scores now, by this model, whatever was stored."),
    ] = None,
) -> Json:
    """What was made before, where there is any; else the stored history folded in; else what is
    popular. `source` and `reason` tell which it is, and why."""
    service = service_of(request)
    deadline = service.coalescer.deadline()
    arm = service.arm_of(user, model)
    content, before = None, "a model was asked for"
    if model is None:
        by = service.choose(None, arm) if arm is not None and service.arms_choose else None
        content, before = await _stored(service, user, k, by)
    if content is None:
        served = service.choose(model, arm)
        content = await _scored(service, served, user, k, before, deadline)
    service.metrics.sources.labels(content["source"]).inc()
    return Json({**content, "arm": arm}, headers=None if arm is None else {ARM: arm})


async def _stored(
    service: Service, user: str, k: int, by: Served | None
) -> tuple[dict[str, Any] | None, str]:
    """Recommendations made before; or None, and why there are none.

    Args:
        service: with its store.
        user: the id.
        k: how many.
        by: the model that the user's arm chose, whose rows alone may be shown: those of another
            would be counted for this arm.
    """
    if service.store is None:
        return None, "no store is served"
    from nearfar.web.stored import StoreBusyError, StoreDownError

    try:
        found = await service.store.of(user)
    except StoreDownError:
        return None, DOWN
    except StoreBusyError:
        return None, BUSY
    if found is None:
        return None, "nothing is stored for the user"
    rows = found.rows[:k]
    version = rows[0].model_version
    if by is not None and not service.told_apart(by):
        return None, AMBIGUOUS.format(version=by.scorer.version)
    if by is not None and any(row.model_version != by.scorer.version for row in rows):
        return None, OF_OTHERS.format(version=by.scorer.version)
    if by is None and len(service.models):
        by = service.models.get(None)
    catalogue = None if by is None else by.catalogue
    titles = [None] * len(rows) if catalogue is None else catalogue.titles_of(r.item for r in rows)
    listed = [
        {"rank": row.rank, "item": row.item, "title": title, "score": number(row.score),
         "because": None}
        for row, title in zip(rows, titles, strict=True)
    ]  # fmt: skip
    content = {
        "model": None, "version": version, "source": "stored",
        "reason": STORED.format(day=found.day, version=version), "date": str(found.day),
        "scored_at": rows[0].scored_at.isoformat(), "recommendations": listed,
    }  # fmt: skip
    return content, ""


async def _scored(
    service: Service, served: Served, user: str, k: int, before: str, deadline: float
) -> dict[str, Any]:
    """Recommendations made now."""
    history = np.empty(0, np.int64) if served.histories is None else served.histories.of(user)
    if before == BUSY and not len(history):
        # Not what is popular: something better may be stored.
        raise queue_full()
    source, told = ("history", FOLDED) if len(history) else ("popular", POPULAR)
    (found,) = await service.coalescer.rank(
        served, [Wanted(history, history, k)], deadline=deadline
    )
    return {
        "model": served.name, "version": served.scorer.version, "source": source,
        "reason": told.format(before=before), "date": None, "scored_at": None,
        "recommendations": recommendations(served, found),
    }  # fmt: skip
