"""Recommendations for users who are known by id."""

from __future__ import annotations

from typing import Any

import numpy as np
from starlette.requests import Request

from nearfar.web.catalogue import rounded
from nearfar.web.operation import Operations, service_of
from nearfar.web.problems import queue_full
from nearfar.web.schemas import UserParameters, UserResponse
from nearfar.web.scoring import ScoringRequest
from nearfar.web.served_models import ServedModel
from nearfar.web.service import Service

operations = Operations("recommend")

STORED = "made before, for {day}, by version {version}"
OF_OTHERS = "what is stored is by another model than that of the user's arm, version {version}"
AMBIGUOUS = "several models served are of version {version}, so that stored rows tell no arm"
FOLDED = "{before}; folded in from the stored history"
DOWN = "the store cannot be read now"
BUSY = "more is asked of the store than it answers in time"
POPULAR = "{before}, and no history is known; this is what is popular"


@operations.get(
    "/v1/users/{user}/recommendations",
    takes=UserParameters,
    returns=UserResponse,
    problems=(404, 429, 503, 504),
    arm=True,
)
async def of_user(request: Request, asked: UserParameters) -> dict[str, Any]:
    """Recommend to a user known by id.

    What was made before, where there is any; else the stored history folded in; else what is
    popular. `source` and `reason` tell which it is, and why.
    """
    service = service_of(request)
    deadline = service.batcher.deadline()
    arm = service.arm_of(asked.user, asked.model)
    content, before = None, "a model was asked for"
    if asked.model is None:
        by = service.choose(None, arm) if arm is not None and service.arms_choose else None
        content, before = await _stored(service, asked.user, asked.k, by)
    if content is None:
        served = service.choose(asked.model, arm)
        content = await _scored(service, served, asked.user, asked.k, before, deadline)
    service.metrics.sources.labels(content["source"]).inc()
    return {**content, "arm": arm}


async def _stored(
    service: Service, user: str, k: int, by: ServedModel | None
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
    from nearfar.web.user_store import StoreBusyError, StoreDownError

    try:
        stored = await service.store.of(user)
    except StoreDownError:
        return None, DOWN
    except StoreBusyError:
        return None, BUSY
    if stored is None:
        return None, "nothing is stored for the user"
    rows = stored.rows[:k]
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
        {"rank": row.rank, "item": row.item, "title": title,
         "new": catalogue is not None and catalogue.is_new(row.item),
         "score": rounded(row.score), "because": None}
        for row, title in zip(rows, titles, strict=True)
    ]  # fmt: skip
    content = {
        "model": None, "version": version, "source": "stored",
        "reason": STORED.format(day=stored.day, version=version), "date": str(stored.day),
        "scored_at": rows[0].scored_at.isoformat(), "recommendations": listed,
    }  # fmt: skip
    return content, ""


async def _scored(
    service: Service, served: ServedModel, user: str, k: int, before: str, deadline: float
) -> dict[str, Any]:
    """Recommendations made now."""
    history = np.empty(0, np.int64) if served.histories is None else served.histories.of(user)
    if before == BUSY and not len(history):
        # Not what is popular: something better may be stored.
        raise queue_full()
    source, told = ("history", FOLDED) if len(history) else ("popular", POPULAR)
    scoring = ScoringRequest(history, history, k, served.builder)
    (result,) = await service.batcher.rank(served, [scoring], deadline=deadline)
    return {
        "model": served.name, "version": served.scorer.version, "source": source,
        "reason": told.format(before=before), "date": None, "scored_at": None,
        "recommendations": served.catalogue.recommendations(result),
    }  # fmt: skip
