"""Operations that recommend to users by id."""

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
OTHER_MODEL = "what is stored is by another model than that of the user's arm, version {version}"
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
async def of_user(request: Request, parameters: UserParameters) -> dict[str, Any]:
    """Recommend items to a user by id.

    Returns the stored recommendations if there are any; else recommendations for the stored
    history; else popular items. `source` and `reason` say which, and why.
    """
    service = service_of(request)
    deadline = service.batcher.deadline()
    arm = service.arm_of(parameters.user, parameters.model)
    content, before = None, "a model was asked for"
    if parameters.model is None:
        arm_model = service.choose(None, arm) if arm is not None and service.arms_choose else None
        content, before = await _stored(service, parameters.user, parameters.k, arm_model)
    if content is None:
        served = service.choose(parameters.model, arm)
        content = await _scored(service, served, parameters.user, parameters.k, before, deadline)
    service.metrics.sources.labels(content["source"]).inc()
    return {**content, "arm": arm}


async def _stored(
    service: Service, user: str, k: int, arm_model: ServedModel | None
) -> tuple[dict[str, Any] | None, str]:
    """Return the stored recommendations; or None, and the reason why there are none.

    Args:
        service: the service with its store.
        user: the user's id.
        k: maximum number of items.
        arm_model: the model of the user's arm; rows of other models are not returned, because
            they would be counted for this arm. None without an arm that chooses a model.
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
    if arm_model is not None:
        arm_version = arm_model.scorer.version
        if not service.told_apart(arm_model):
            return None, AMBIGUOUS.format(version=arm_version)
        if any(row.model_version != arm_version for row in rows):
            return None, OTHER_MODEL.format(version=arm_version)
    served = arm_model
    if served is None and len(service.models):
        served = service.models.get(None)
    catalogue = None if served is None else served.catalogue
    titles = [None] * len(rows) if catalogue is None else catalogue.titles_of(r.item for r in rows)
    recommendations = [
        {"rank": row.rank, "item": row.item, "title": title,
         "new": catalogue is not None and catalogue.is_new(row.item),
         "score": rounded(row.score), "because": None}
        for row, title in zip(rows, titles, strict=True)
    ]  # fmt: skip
    content = {
        "model": None, "version": version, "source": "stored",
        "reason": STORED.format(day=stored.day, version=version), "date": str(stored.day),
        "scored_at": rows[0].scored_at.isoformat(), "recommendations": recommendations,
    }  # fmt: skip
    return content, ""


async def _scored(
    service: Service, served: ServedModel, user: str, k: int, before: str, deadline: float
) -> dict[str, Any]:
    """Score a user's stored history now, or return popular items without one.

    Raises:
        ProblemError: the store is busy and there is no history, or a limit of the queue is reached.
    """
    history = np.empty(0, np.int64) if served.histories is None else served.histories.of(user)
    if before == BUSY and not len(history):
        # Popular items would be wrong: the store may have better ones.
        raise queue_full()
    source, reason = ("history", FOLDED) if len(history) else ("popular", POPULAR)
    scoring = ScoringRequest(history, history, k, served.builder)
    (result,) = await service.batcher.rank(served, [scoring], deadline=deadline)
    return {
        "model": served.name, "version": served.scorer.version, "source": source,
        "reason": reason.format(before=before), "date": None, "scored_at": None,
        "recommendations": served.catalogue.recommendations(result),
    }  # fmt: skip
